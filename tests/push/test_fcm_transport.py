"""FCM over HTTP/2 where the server offers it, over HTTP/1.1 where not; one access token for all workers."""

from __future__ import annotations

import http.server
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.pool import Pool as Crowd
from gevent.server import StreamServer

from gateway.mailbox.journal import Journal
from gateway.mailbox.keys import PROVIDER_TOKENS
from tests.push.builders import a_push, an_android_app
from workers.push.apps import Apps
from workers.push.breaker import BreakerRules
from workers.push.http2.pool import PoolRules
from workers.push.outcome import Delivered, Later
from workers.push.providers.fcm.token import AccessToken
from workers.push.providers.fcm.transport import Transport
from workers.push.reply import Processed, Reply, Unanswered
from workers.push.settings import PushSettings
from workers.push.standing import standing_of
from workers.push.token_store import LocalTokenStore, Minted, SharedTokenStore, TokenStore
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.material import prepare
from workers.sandbox.server import Sandbox


@pytest.fixture
def apps(sandbox: Sandbox) -> Iterator[Apps]:
    """FCM at the sandbox's TLS port, which offers HTTP/2."""
    app = an_android_app(sandbox, endpoint=sandbox.addresses["fcm_tls_endpoint"], ca_file=sandbox.addresses["ca_file"])
    made = Apps(
        PushSettings(apps={"chat": app}, request_timeout=30.0),
        store=LocalTokenStore(),
        breaker_rules=BreakerRules(faults=50),
    )
    yield made
    made.close()


def test_many_pushes_share_one_http2_connection(apps: Apps, sandbox: Sandbox) -> None:
    provider = apps["chat"]
    provider.send(a_push())
    outcomes = Crowd(100).map(provider.send, [a_push(token=f"device-{number}") for number in range(300)])

    assert 300 == sum(isinstance(outcome, Delivered) for outcome in outcomes)
    assert 1 == len({received.connection for received in sandbox.record.since()})
    assert 1 == standing_of(provider, provider.breaker).connections


def test_answers_over_http2_are_understood_like_others(apps: Apps, sandbox: Sandbox) -> None:
    sandbox.arm_fcm(reason="QUOTA_EXCEEDED", retry_after_s=120, times=1)
    outcome = apps["chat"].send(a_push())

    assert isinstance(outcome, Later)
    assert 117 <= (outcome.after_s or 0) <= 120


class OldServer:
    """TLS and HTTP/1.1 only."""

    def __init__(self, directory: Path) -> None:
        material = prepare(directory)
        self.ca_file = str(material.ca_file)
        self.requests: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(material.server_file)
        context.set_alpn_protocols(["http/1.1"])
        self.server = StreamServer(("127.0.0.1", 0), self._serve, ssl_context=context)
        self.server.start()
        self.endpoint = f"https://127.0.0.1:{self.server.server_port}"

    def _serve(self, sock: Any, address: object) -> None:
        seen = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                seen.append(self.headers["Authorization"])
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                """Tests are silent."""

        try:
            Handler(sock, address, None)  # type: ignore[arg-type]
        except OSError:
            sock.close()


def test_a_server_without_http2_is_spoken_to_over_http1(tmp_path: Path) -> None:
    old = OldServer(tmp_path)
    transport = Transport(old.endpoint, ca_file=old.ca_file, path="/send", rules=PoolRules(), http1_connections=5)
    replies = Crowd(10).map(lambda _: transport.post(b"{}", bearer="t", timeout_s=20.0), range(20))
    transport.close()
    old.server.stop()

    assert [200] * 20 == [reply.status for reply in replies if isinstance(reply, Reply)]
    assert ["Bearer t"] * 20 == old.requests


def test_a_server_that_is_not_there_is_not_asked_twice_in_another_way() -> None:
    transport = Transport("https://127.0.0.1:1", ca_file="", path="/", rules=PoolRules(), http1_connections=5)
    result = transport.post(b"{}", bearer="t", timeout_s=0.5)
    transport.close()

    assert isinstance(result, Unanswered)
    assert Processed.NO is result.processed


@pytest.fixture
def journal(redis_url: str) -> Iterator[Journal]:
    """A connection to an empty Redis."""
    made = Journal(redis_url)
    made.start()
    yield made
    made.stop()


MakeWorker = Callable[[TokenStore], AccessToken]


@pytest.fixture
def a_worker(sandbox: Sandbox) -> Iterator[MakeWorker]:
    """Makes what each worker has of its own."""
    made: list[AccessToken] = []

    def build(store: TokenStore) -> AccessToken:
        file = sandbox.addresses["service_account_file"]
        made.append(AccessToken(file, ca_file="", timeout_s=20.0, store=store))
        return made[-1]

    yield build
    for worker in made:
        worker.close()


def issued(sandbox: Sandbox) -> int:
    return sum(count for name, count in sandbox.stats().items() if "token" in name and name.startswith("fcm"))


def test_workers_share_one_access_token(a_worker: MakeWorker, sandbox: Sandbox, journal: Journal) -> None:
    before = issued(sandbox)
    workers = [a_worker(SharedTokenStore(journal)) for _ in range(8)]
    asking = [gevent.spawn(worker.bearer) for worker in workers]
    gevent.joinall(asking, timeout=30, raise_error=True)

    assert 1 == len({greenlet.value for greenlet in asking})
    assert 1 == issued(sandbox) - before
    (key,) = journal.call("KEYS", PROVIDER_TOKENS + "*")
    assert 3000 < journal.call("TTL", key) <= 3600


def test_a_refused_access_token_is_replaced_once_for_all_workers(
    a_worker: MakeWorker, sandbox: Sandbox, journal: Journal
) -> None:
    workers = [a_worker(SharedTokenStore(journal)) for _ in range(4)]
    old = {worker.bearer() for worker in workers}
    before = issued(sandbox)
    asking = [gevent.spawn(worker.renewed, next(iter(old))) for worker in workers]
    gevent.joinall(asking, timeout=30, raise_error=True)
    new = {greenlet.value for greenlet in asking}

    assert 1 == len(old) == len(new)
    assert not old & new
    assert 1 == issued(sandbox) - before


def test_without_redis_a_worker_asks_for_itself(a_worker: MakeWorker) -> None:
    worker = a_worker(SharedTokenStore(Journal("unix:///nowhere", timeout_s=0.05)))

    assert worker.bearer()


def test_a_worker_that_dies_while_it_asks_holds_the_others_up_only_for_a_while(
    a_worker: MakeWorker, journal: Journal
) -> None:
    worker = a_worker(SharedTokenStore(journal))
    assert SharedTokenStore(journal).lease(worker._name, seconds=0.5)
    started = time.monotonic()

    assert worker.bearer()
    assert time.monotonic() - started >= 0.3


def test_a_short_lived_access_token_is_not_used_beyond_its_life(
    a_worker: MakeWorker, sandbox: Sandbox, journal: Journal
) -> None:
    sandbox.behaviour = Behaviour(fcm_access_token_lifetime_s=200)
    worker = a_worker(SharedTokenStore(journal))

    assert worker.bearer() != worker.bearer()


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_a_lease_is_one_callers_at_a_time(kind: str, journal: Journal) -> None:
    store: TokenStore = LocalTokenStore() if kind == "local" else SharedTokenStore(journal)

    assert [True, False] == [store.lease("n", seconds=5), store.lease("n", seconds=5)]
    store.release("n")
    assert store.lease("n", seconds=0.05)
    gevent.sleep(0.1)
    assert store.lease("n", seconds=5)
    assert Minted("a", 5, 7) == store.offer("n", Minted("a", 5, 7), floor_s=0)
    assert 2 == Minted("a", 5, 7).left_s(10)
