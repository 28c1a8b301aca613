"""A whole run with everything that may happen to a push, at the loudest log level; and nothing private is in what any
process wrote, in metrics, traces or lists.
"""

from __future__ import annotations

import http.client
import itertools
import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from gateway.demo.client import Client, RequestFailed
from gateway.demo.requests import enable_push
from gateway.demo.stream import ServerSilent, StreamEnded, Unexpected
from gateway.errors import WakegateError
from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.integration.secrets_told import MARK, key_material, told
from tests.support.component import BRIDGE, ECHO, Component, close_components, component, component_settings
from tests.support.iq import store_of
from tests.support.processes import DOMAIN, Account, Server, Settings, free_ports, running
from tests.support.sandbox import WITH_SANDBOX
from workers.push.providers.webpush.keys import public_key
from workers.sandbox.server import Addresses, Sandbox

BODY = f"{MARK} wherefore art thou"

APPLE: list[dict[str, Any]] = [
    {},
    {"reason": "Unregistered"},
    {"reason": "BadDeviceToken"},
    {"reason": "BadTopic"},
    {"reason": "PayloadTooLarge"},
    {"reason": "TooManyRequests", "retry_after_s": 1, "times": 1},
    {"status": 502, "reason": f"no such device: {MARK}"},
    {"action": "close", "times": 1},
    {"action": "goaway", "times": 1},
    {"reason": "InvalidProviderToken"},
]
"""what its pushes meet, one device each; the last opens the breaker"""

GOOGLE: list[dict[str, Any]] = [
    {},
    {"reason": "UNREGISTERED"},
    {"reason": "INVALID_ARGUMENT"},
    {"reason": "SENDER_ID_MISMATCH"},
    {"reason": "THIRD_PARTY_AUTH_ERROR"},
    {"reason": "QUOTA_EXCEEDED", "retry_after_s": 1, "times": 1},
    {"status": 502, "body": f"<html>{MARK} bad gateway</html>"},
    {"action": "close", "times": 1},
    {"reason": "UNAUTHENTICATED", "status": 401, "times": 1},
]

BROWSERS: list[dict[str, Any]] = [
    {},
    {"status": 410},
    {"status": 404},
    {"status": 413},
    {"status": 429, "retry_after_s": 1, "times": 1},
    {"status": 403, "body": f"{MARK} wrong key"},
    {"action": "close"},
]


class Run:
    """A server with three kinds of devices, each of which meets something else."""

    def __init__(self, server: Server, browsers: Sandbox, component_port: int) -> None:
        self.server = server
        self.component_port = component_port
        self.browsers = browsers
        self.addresses = json.loads(Path(server.directory, "data", "sandbox", "addresses.json").read_text())
        self.accounts = iter(server.add_accounts(len(APPLE) + len(GOOGLE) + len(BROWSERS) + 10))
        self.friend = self.log_in(next(self.accounts))
        self.secrets: set[str] = set()
        self.sleepers: list[Account] = []

    def log_in(self, account: Account) -> Client:
        """With a marked resource."""
        return self.server.client(account, resource=f"{MARK}-{account.name}").login()

    def sleeper(self, register: Callable[[Client], None]) -> None:
        """A device that registered and lost its link; then somebody writes to it."""
        account = next(self.accounts)
        phone = self.log_in(account)
        register(phone)
        phone.cut()
        self.sleepers.append(account)
        self.friend.send_message(account.jid, BODY)

    def arm(self, provider: str, token: str, fault: dict[str, Any]) -> None:
        """At the sandbox's own port."""
        connection = http.client.HTTPConnection(self.addresses["control"], timeout=10)
        connection.request("POST", f"/control/{provider}/tokens/{token}", json.dumps(fault))
        answer = connection.getresponse()
        assert 200 == answer.status, answer.read()
        connection.close()

    def wake_phones(self) -> None:
        """Apple's and Google's."""
        kinds = (("apns", "demo-ios", APPLE), ("fcm", "demo-android", GOOGLE))
        for provider, app, faults in kinds:
            for fault in faults:
                token = secrets.token_hex(32) if provider == "apns" else f"{MARK}-{secrets.token_hex(8)}"
                self.secrets.add(token)
                if fault:
                    self.arm(provider, token, fault)
                self.sleeper(partial(enable_push, node=f"{MARK}-node", app=app, token=token))

    def wake_browsers(self) -> None:
        """Their endpoints are secrets as a whole."""
        for fault in BROWSERS:
            key = public_key(self.browsers.addresses["vapid_key_file"])
            subscription = self.browsers.subscribe(application_server_key=key).as_json()
            self.secrets |= {subscription["endpoint"], subscription["endpoint"].rpartition("/")[2]}
            self.secrets |= set(subscription["keys"].values())
            if fault:
                self.browsers.arm_webpush(subscription["endpoint"], **fault)
            options = {"endpoint": subscription["endpoint"], **subscription["keys"]}
            self.sleeper(
                partial(enable_push, node=f"{MARK}-web", app="web", token=options["endpoint"], options=options)
            )

    def wake_by_app_servers(self) -> None:
        """One that answers with errors, and one that is not there; who may not connect tries."""
        wrong = Component(self.component_port, BRIDGE).open()
        wrong.send(f"<handshake>{wrong.digest(MARK)}</handshake>")
        wrong.stream_error()
        bridge = component(self.component_port)
        for domain in (BRIDGE, ECHO):
            service = f"{MARK.lower()}@{domain}"
            self.sleeper(partial(enable_push, node=f"{MARK}-{domain}", app=MARK, token=MARK, service=service))
        asked = bridge.next("iq")
        error = f"<error type='cancel'><x xmlns='urn:{MARK}'/><text>{BODY}</text></error>"
        bridge.send(
            f"<iq type='error' id='{asked.get('id')}' from='{asked.get('to')}' to='{asked.get('from')}'>{error}</iq>"
        )
        bridge.round_trip()
        close_components()

    def say_it_wrongly(self) -> None:
        """Log-ins, registrations, addresses and stanzas that are refused."""
        account = next(self.accounts)
        for name, password in ((account.name, f"{MARK}-wrong"), (f"{MARK}-nobody", "x"), (f"{MARK} odd@@", "x")):
            with suppress(WakegateError, OSError):
                Client(name, password, self.server.address(), timeout_s=5).login()
        phone = self.log_in(account)
        for app, token in (("demo-ios", f"{MARK}-no-hex"), (f"{MARK}-app", "x"), ("web", f"http://10.0.0.1/{MARK}")):
            with suppress(RequestFailed):
                enable_push(phone, node=f"{MARK}-bad", app=app, token=token, options={"environment": MARK})
        for to in (f"{MARK}-nobody@{DOMAIN}", f"{MARK}@elsewhere.example", f"{account.jid}/{MARK}"):
            phone.send_message(to, BODY)
        self.call_and_change(phone)
        for broken in (f"<message to='@@{MARK}'><body>{BODY}</body></message>", f"<message><{MARK} </message>"):
            with suppress(StreamEnded, ServerSilent, Unexpected):
                phone.send(broken)
                phone.wait_accepted(5)
        phone.cut()

    def call_and_change(self, phone: Client) -> None:
        """A call for devices that sleep, contacts, what an account keeps, a password."""
        sleeper = self.sleepers[0].jid
        propose = f"<propose xmlns='urn:xmpp:jingle-message:0' id='{MARK}-call'/>"
        phone.send(f"<message to={quoteattr(sleeper)} type='chat'>{propose}</message>")
        phone.send(f"<presence to={quoteattr(sleeper)} type='subscribe'/>")
        vcard = f"<vCard xmlns='vcard-temp'><FN>{MARK}</FN><PHOTO><BINVAL>{MARK}</BINVAL></PHOTO></vCard>"
        item = f"<item id='{MARK}'><x xmlns='urn:{MARK}'>{MARK}</x></item>"
        publish = f"<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='{MARK}'>{item}</publish></pubsub>"
        change = f"<username>{phone.username}</username><password>{MARK}-new-password</password>"
        for payload in (vcard, publish, f"<query xmlns='{ns.REGISTER}'>{change}</query>", f"<x xmlns='urn:{MARK}'/>"):
            with suppress(RequestFailed):
                phone.request("set", payload)

    def lose_the_store(self) -> None:
        """Redis dies while messages come and pushes are under way."""
        for process in self.server.redis():
            process.kill()
        with suppress(StreamEnded, ServerSilent, Unexpected):
            for account in self.sleepers:
                self.friend.send_message(account.jid, BODY)
            self.friend.wait_accepted(20)

    def page(self, path: str) -> str:
        """From the web process."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.ports["web"], timeout=20)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def everything_shown(self) -> Iterator[tuple[str, str]]:
        """What was written, and what can be asked: (where, what)."""
        for path in ("/metrics", "/api/status", "/", "/healthz", f"/{MARK}"):
            yield path, self.page(path)
        command = self.server.command
        yield "status", command("status")
        yield "dead letters", command("push", "dead", "list", "--json")
        with store_of(self.server) as store:
            for pattern in ("trace:*", "pushstat", "pushid:*", "again:*"):
                names = list(store.scan_iter(f"wg:*:{pattern}", count=1000))
                yield pattern, "\n".join(map(repr, names))
                streams = [store.xrange(name) for name in names if pattern == "trace:*"]
                yield f"values of {pattern}", "\n".join(repr(entry) for stream in streams for entry in stream)
            yield "workers", repr(store.hgetall(keys.PUSH_WORKERS))
            owners = [key.decode().rpartition(":")[2] for key in store.scan_iter("wg:*:pushid:*", count=1000)]
        for push in itertools.islice(owners, 3):
            yield "trace of a push", command("push", "trace", push, "--json")
        for account in (self.sleepers[3], self.sleepers[-2]):
            # Who is asked for is named, and so are the names of that account's own devices.
            shown = command("push", "trace", account.jid, "--json").replace(account.jid, "(account)")
            yield "trace of an account", shown.replace(f"{MARK}-{account.name}", "(resource)")
        yield "logs", self.server.log()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    (component_port,) = free_ports(1)
    with Sandbox(tmp_path / "browsers", Addresses.free()) as browsers:
        web = {
            "provider": "webpush",
            "vapid_key_file": browsers.addresses["vapid_key_file"],
            "vapid_subject": "mailto:admin@example.org",
            "ca_file": browsers.addresses["ca_file"],
            "allow_private": True,
        }
        settings: Settings = {
            "log": {"level": "debug"},
            "redis": {"appendfsync": "always"},  # it is killed, and what it had answered is looked for afterwards
            "push": {"offered_grace": 0, "floor": 0.0, "retry_first": 0.1, "retry_most": 1.0, "retry_limit": 3},
            "push.apps.web": web,
            **component_settings(component_port),
        }
        with running(tmp_path / "house", arguments=WITH_SANDBOX, settings=settings) as server:
            made = Run(server, browsers, component_port)
            yield made
            made.friend.cut()


def counters(run: Run) -> dict[str, Any]:
    """What the dashboard shows of pushes; while Redis is away, what it would show at first."""
    status = json.loads(run.page("/api/status"))
    found: dict[str, Any] = status.get("push", {"pushes": {"refused": 0}, "workers": {}})
    return found


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_private_is_in_what_processes_write_or_operators_are_shown(run: Run) -> None:
    run.wake_phones()
    run.wake_browsers()
    run.wake_by_app_servers()
    run.say_it_wrongly()
    run.friend.wait_accepted()
    run.server.wait(lambda: counters(run)["pushes"]["refused"] >= 3, "what is refused", 60)
    run.lose_the_store()
    run.server.wait(lambda: "redis_lost" in run.server.log(), "the loss of Redis")
    run.server.wait(lambda: any_open(counters(run)), "a breaker to open", 60)
    pushes = counters(run)["pushes"]
    material = key_material(
        run.addresses["apns_key_file"],
        run.addresses["service_account_file"],
        run.browsers.addresses["vapid_key_file"],
        str(Path(run.server.directory, "data", "tls", "self-signed.key")),
    )
    found = [
        f"{where}: {what}" for where, text in run.everything_shown() for what in told(text, run.secrets | material)
    ]

    # That much happened, or nothing could have been told.
    assert pushes["token-gone"] >= 4
    assert pushes["refused"] >= 3
    assert pushes["delivered"] >= 4
    assert "debug" in run.server.log()
    assert [] == sorted(set(found))


def any_open(push: dict[str, Any]) -> bool:
    """Does a worker say that a breaker is open?"""
    reports = [report for worker in push["workers"].values() for report in worker["credentials"]]
    return any(report["breakers"].get("open") for report in reports)
