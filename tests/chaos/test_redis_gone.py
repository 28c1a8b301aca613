"""Redis goes away: clients stay connected, nothing is acknowledged meanwhile, nothing is lost."""

import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import gevent
import psutil
import pytest

from gateway.demo.client import Client
from tests.support.processes import Server, running

GONE_S = 4.0
# Under everysec a Redis that is killed while its disk is busy has answered what it has not written (durability.md).
FLUSHED = {"redis": {"appendfsync": "always"}}


@dataclass(frozen=True, slots=True)
class Talk:
    """Two clients, and the server between them."""

    server: Server
    romeo: Client
    juliet: Client

    def say(self, first: int, last: int) -> None:
        for number in range(first, last):
            self.romeo.send_message(self.juliet.jid, f"m{number}", f"m{number}")

    @property
    def came(self) -> list[str]:
        return [message.body for message in self.juliet.messages]


@contextmanager
def a_talk(directory: Path) -> Iterator[Talk]:
    with running(directory, settings=FLUSHED) as server, ExitStack() as stack:
        romeo, juliet = (server.client(account, resource="phone") for account in server.add_accounts(2))
        for client in (romeo, juliet):
            stack.callback(client.cut)
            client.login()
        yield Talk(server, romeo, juliet)


def numbered(count: int) -> list[str]:
    return [f"m{number}" for number in range(count)]


@pytest.mark.slow
def test_while_redis_hangs_nothing_is_acknowledged_and_afterwards_everything_is(tmp_path: Path) -> None:
    with a_talk(tmp_path) as talk:
        talk.say(0, 5)
        talk.romeo.wait_accepted()
        talk.juliet.wait_messages(5)
        redis = talk.server.redis()
        for process in redis:
            process.send_signal(signal.SIGSTOP)
        try:
            talk.say(5, 15)
            talk.romeo.request_ack()
            gevent.sleep(GONE_S)
            meanwhile = list(talk.romeo.accepted), talk.came
        finally:
            for process in redis:
                process.send_signal(signal.SIGCONT)
        talk.romeo.wait_accepted(30)
        talk.juliet.wait_messages(15)

        assert 1 == len(redis)
        assert "m4" == meanwhile[0][-1]
        assert numbered(5) == meanwhile[1]
        assert numbered(15) == talk.came
        assert not talk.romeo.ended.is_set() and not talk.juliet.ended.is_set()


@pytest.mark.slow
def test_redis_killed_and_started_again_costs_no_message_and_no_link(tmp_path: Path) -> None:
    with a_talk(tmp_path) as talk:
        for round_number in range(3):
            first = 20 * round_number
            talk.say(first, first + 10)
            for process in talk.server.redis():
                process.kill()
                psutil.wait_procs([process], timeout=10)
            talk.say(first + 10, first + 20)
            talk.romeo.wait_accepted(40)
            talk.juliet.wait_messages(first + 20)

        assert numbered(60) == talk.came
        assert not talk.romeo.ended.is_set() and not talk.juliet.ended.is_set()


@pytest.mark.slow
def test_the_whole_machine_dies_and_comes_back_and_sessions_resume_with_everything(tmp_path: Path) -> None:
    with a_talk(tmp_path) as talk:
        talk.juliet.freeze()
        talk.say(0, 20)
        talk.romeo.wait_accepted()

        talk.server.kill_everything()
        talk.juliet.cut()
        talk.server.start()
        talk.juliet.resume()
        talk.romeo.resume()
        talk.say(20, 25)
        talk.romeo.wait_accepted()
        talk.juliet.wait_messages(25)

        assert numbered(25) == talk.came
