"""kill -9 of the gateway at random moments, under clients that somebody else wrote, in both directions.

WAKEGATE_FOREIGN_ROUNDS sets how often; the suite takes few.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress

import gevent
import pytest

from gateway.demo.stream import StreamEnded
from tests.chaos.test_gateway_killed import resume_when_it_is_back
from tests.support.processes import Server, running
from tests.support.runners import Library, runner

ROUNDS = int(os.environ.get("WAKEGATE_FOREIGN_ROUNDS", "1"))
A_ROUND = 10


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("foreign")) as server:
        yield server


@pytest.mark.slow
@pytest.mark.timeout(120 + 30 * ROUNDS)
@pytest.mark.parametrize("library", ["slixmpp", "aioxmpp"])
def test_a_foreign_client_loses_and_doubles_nothing_that_was_accepted(server: Server, library: Library) -> None:
    rng = random.Random(ROUNDS)
    account = server.account()
    friend = server.client(server.account())
    with runner(library) as phone:
        phone.login(account, server.address())
        friend.login()
        for number in range(ROUNDS):
            killer = gevent.spawn_later(rng.uniform(0.0, 0.5), server.kill, "gateway")
            for message in range(A_ROUND):
                with suppress(StreamEnded):  # the client keeps it and sends it again when it resumes
                    friend.send_message(f"{account.jid}/phone", f"down{number}.{message}")
                phone.tell("send", to=friend.jid, body=f"up{number}.{message}", id=f"up{number}.{message}")
                gevent.sleep(rng.uniform(0.0, 0.08))
            killer.join(10)
            resume_when_it_is_back(friend)
            phone.wait("resumed", number + 1)
            friend.wait_accepted()
        phone.wait("message", ROUNDS * A_ROUND)
        phone.tell("ask")
        phone.send(friend.jid, "last", "last")
        phone.wait_until(lambda: "last" in [message.body for message in friend.messages], "the last message")
        down, accepted = phone.bodies, {one["id"] for one in phone.all("accepted")}
    friend.close()
    came = Counter(message.body for message in friend.messages)

    assert [f"down{n}.{m}" for n in range(ROUNDS) for m in range(A_ROUND)] == down
    assert {} == {body: count for body, count in came.items() if count > 1}
    assert set() == accepted - set(came)
