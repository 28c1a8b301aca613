"""A real Prosody with its own cloud-notify module, whose users' phones are woken by Wakegate as its push service."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest

from gateway.demo.client import Client, RequestFailed
from gateway.process import dies_with_parent
from gateway.xmpp import ns
from tests.support import prosody as peers
from tests.support.processes import PASSWORD, Server
from tests.support.prosody import DOMAIN, PUSH_SERVICE, Prosody
from tests.support.sandbox import WITH_SANDBOX, accepted_pushes, pushes

# Prosody cannot come with our packages: where it is not installed, missing() says what to install.
pytestmark = pytest.mark.skipif(bool(peers.missing()), reason=peers.missing())

USERS = ("juliet", "benvolio", "nurse", "tybalt", "mercutio", "paris", "romeo")


@dataclass(frozen=True)
class Town:
    """Two servers: theirs, and ours, which is their component."""

    prosody: Prosody
    wakegate: Server

    def wait_connected(self, times: int = 1) -> None:
        """Returns when our component has been accepted so many times in all."""
        self.wakegate.wait(lambda: self.wakegate.log().count("app_server_connected") >= times, "the component")

    def connections(self) -> int:
        return self.wakegate.log().count("app_server_connected")

    def wait_reachable(self) -> None:
        """Returns when Prosody routes to our component, whichever process has the connection."""
        client = self.prosody.client("romeo", "orchard").login(presence=False)

        def answers() -> bool:
            try:
                client.request("get", f"<ping xmlns='{ns.PING}'/>", PUSH_SERVICE)
            except RequestFailed:
                return False
            return True

        self.wakegate.wait(answers, "the component's answer")
        client.close()

    def wait_push(self, token: str, count: int = 1) -> list[dict[str, Any]]:
        """Returns when so many pushes for a device were accepted."""
        self.wakegate.wait(lambda: len(accepted_pushes(self.wakegate, token)) >= count, f"push {count}", 30.0)
        return accepted_pushes(self.wakegate, token)

    def send(self, to: str, body: str = "hi") -> None:
        """A message from Romeo, whose server has taken it when this returns."""
        romeo = self.prosody.client("romeo", "orchard").login(presence=False)
        romeo.send_message(f"{to}@{DOMAIN}", body)
        romeo.wait_accepted()
        romeo.close()


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    directory = tmp_path_factory.mktemp("prosody")
    prosody = Prosody(directory / "peer", push_max_errors=1, tells=True)
    for user in USERS:
        prosody.add_user(user)
    settings: dict[str, dict[str, Any]] = {
        "push": {"floor": 0},
        "appserver": {"retry_most": 1},
        f'appserver.servers."{PUSH_SERVICE}"': {
            "port": prosody.component, "secret": peers.SECRET, "content": "sender"
        },
    }  # fmt: skip
    server = Server(directory / "ours", arguments=WITH_SANDBOX, settings=settings)
    try:
        prosody.start()
        server.start()
        made = Town(prosody, server)
        made.wait_connected()
        server.wait(lambda: "Wakegate is ready" in server.log(), "all processes")
        yield made
    finally:
        server.stop()
        prosody.stop()


def form(**fields: str) -> str:
    inner = "".join(
        f"<field var='{name.replace('__', '-')}'><value>{value}</value></field>" for name, value in fields.items()
    )
    return f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{inner}</x>"


def command(client: Client, node: str, /, **fields: str) -> dict[str, str]:
    """Executes an ad-hoc command with its form at once; answers the result's fields."""
    payload = f"<command xmlns='{ns.COMMANDS}' node='{node}' action='execute'>{form(**fields)}</command>"
    return values_of(client.request("set", payload, PUSH_SERVICE))


def values_of(answer: Element) -> dict[str, str]:
    fields = answer.iter(f"{{{ns.DATA_FORMS}}}field")
    return {str(one.get("var")): one.findtext(f"{{{ns.DATA_FORMS}}}value", "") for one in fields}


def enable(client: Client, registered: dict[str, str], service: str = PUSH_SERVICE) -> None:
    """XEP-0357 at Prosody."""
    options = form(FORM_TYPE=ns.PUBSUB_PUBLISH_OPTIONS, secret=registered["secret"]) if "secret" in registered else ""
    client.request("set", f"<enable xmlns='{ns.PUSH}' jid='{service}' node='{registered['node']}'>{options}</enable>")


def asleep(town: Town, user: str, token: str) -> Client:
    """A phone that registered here, enabled pushes there, and lost its link."""
    phone = town.prosody.client(user).login()
    enable(phone, command(phone, "register", app="demo-ios", token=token))
    phone.wait_accepted()
    phone.cut()
    return phone


def test_the_push_service_is_found_among_prosodys_items(town: Town) -> None:
    phone = town.prosody.client("juliet").login()
    items = phone.request("get", f"<query xmlns='{ns.DISCO_ITEMS}'/>", DOMAIN)
    info = phone.request("get", f"<query xmlns='{ns.DISCO_INFO}'/>", PUSH_SERVICE)
    commands = phone.request("get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>", PUSH_SERVICE)
    phone.request("get", f"<ping xmlns='{ns.PING}'/>", PUSH_SERVICE)
    phone.close()

    assert PUSH_SERVICE in {one.get("jid") for one in items.iter(f"{{{ns.DISCO_ITEMS}}}item")}
    assert ("pubsub", "push") in {
        (one.get("category"), one.get("type")) for one in info.iter(f"{{{ns.DISCO_INFO}}}identity")
    }
    assert ns.PUSH in {one.get("var") for one in info.iter(f"{{{ns.DISCO_INFO}}}feature")}
    assert {"register", "unregister", "register-push-fcm", "register-device"} <= {
        one.get("node") for one in commands.iter(f"{{{ns.DISCO_ITEMS}}}item")
    }


def test_a_message_for_a_sleeping_phone_is_pushed_and_what_was_written_meanwhile_is_there(town: Town) -> None:
    token = "01" * 32
    phone = asleep(town, "juliet", token)
    town.send("juliet", "Wherefore?")
    (received,) = town.wait_push(token)
    phone.resume()
    phone.wait_messages(1)
    phone.close()

    assert "apns" == received["provider"]
    assert {"body": "New message"} == received["payload"]["aps"]["alert"], "the app's own ceiling: none"
    assert 1 == received["payload"]["wakegate"]["count"]
    assert ["Wherefore?"] == [message.body for message in phone.messages]


def test_slixmpp_as_it_is_registers_and_is_pushed(town: Town) -> None:
    token = "0b" * 32
    arguments = (f"benvolio@{DOMAIN}/phone", PASSWORD, str(town.prosody.c2s), PUSH_SERVICE, "demo-ios", token)
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.slixmpp_push_registration", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(done.stdout)
    town.send("benvolio")
    town.wait_push(token)

    assert PUSH_SERVICE == found["jid"], found
    assert PUSH_SERVICE in found["items"]
    assert ["pubsub/push"] == found["identities"]
    assert "register" in found["commands"]


def test_presence_and_chat_states_wake_nobody(town: Town) -> None:
    token = "02" * 32
    phone = asleep(town, "nurse", token)
    before = town.prosody.log().count("unimportant push notification for nurse")
    romeo = town.prosody.client("romeo", "orchard").login(presence=False)
    romeo.send(f"<message to='nurse@{DOMAIN}/phone' type='chat'><composing xmlns='{ns.CHATSTATES}'/></message>")
    town.prosody.wait(
        lambda: town.prosody.log().count("unimportant push notification for nurse") > before, "Prosody's publish"
    )
    romeo.send_message(f"nurse@{DOMAIN}", "now")
    town.wait_push(token)
    romeo.close()
    phone.cut()

    assert 1 == len(pushes_for(town, token))


def pushes_for(town: Town, token: str) -> list[dict[str, Any]]:
    return [push for push in pushes(town.wakegate) if push["token"] == token]


def test_conversations_registers_as_with_its_own_app_server(town: Town) -> None:
    token = "fcm-token-of-tybalt"
    phone = town.prosody.client("tybalt").login()
    registered = command(phone, "register-push-fcm", token=token, android__id="0ab43fb78f92ba10")
    enable(phone, registered)
    phone.wait_accepted()
    phone.cut()
    town.send("tybalt")
    (received,) = town.wait_push(token)

    assert PUSH_SERVICE == registered["jid"]
    assert "fcm" == received["provider"]
    assert "high" == received["payload"]["message"]["android"]["priority"].lower()


def test_siskin_registers_without_a_secret(town: Town) -> None:
    token = "03" * 32
    phone = town.prosody.client("tybalt", "siskin").login()
    registered = command(phone, "register-device", provider="tigase:messenger:apns:1", device__token=token)
    enable(phone, registered)
    phone.wait_accepted()
    phone.cut()
    town.send("tybalt")
    town.wait_push(token)

    assert "secret" not in registered


def test_a_dead_token_has_prosody_stop_at_the_next_message(town: Town) -> None:
    phone = asleep(town, "mercutio", "dead4100" + "0" * 56)
    town.send("mercutio")
    town.wakegate.wait(lambda: "TokenGone" in town.wakegate.log(), "the provider's answer")
    town.send("mercutio", "again")
    town.prosody.wait(
        lambda: "Disabling push notifications for identifier" in town.prosody.log(), "Prosody to disable the node"
    )
    phone.cut()

    assert "<cancel:item-not-found:" in town.prosody.log()


def test_after_prosodys_restart_the_component_is_back_and_phones_are_woken(town: Town) -> None:
    token = "04" * 32
    asleep(town, "paris", token)
    before = town.connections()
    town.prosody.stop()
    town.prosody.start()
    town.wait_connected(before + 1)
    town.send("paris")

    assert 1 == len(town.wait_push(token))


@pytest.mark.slow
def test_a_killed_app_server_costs_its_connection_and_nothing_else(town: Town) -> None:
    token = "05" * 32
    phone = asleep(town, "juliet", token)
    before = town.connections()
    town.wakegate.kill("appserver")
    town.wait_connected(before + 1)
    town.send("juliet")

    assert 1 == len(town.wait_push(token))
    phone.cut()


@contextmanager
def a_second_app_server(town: Town) -> Iterator[Path]:
    """With the configuration of the first; answers its log."""
    ours = town.wakegate
    log = ours.directory / "second.log"
    configuration = (str(ours.config), str(ours.directory / "data" / "demo" / "wakegate.toml"))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "gateway", "appserver", *(part for file in configuration for part in ("-c", file))],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=ours.directory,
            preexec_fn=dies_with_parent(),
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait(20)


def test_a_second_app_server_is_a_spare(town: Town) -> None:
    token = "0c" * 32
    phone = asleep(town, "nurse", token)
    with a_second_app_server(town) as log:
        town.wakegate.wait(lambda: "conflict" in log.read_text(), "Prosody's refusal")
        before = town.connections()
        town.wakegate.signal("appserver", signal.SIGTERM)  # the supervisor starts another
        town.wakegate.wait(
            lambda: "app_server_connected" in log.read_text() or town.connections() > before, "one of them"
        )
        town.send("nurse")

        assert 1 == len(town.wait_push(token))
    phone.cut()
    town.wait_reachable()


def test_nobody_else_may_publish_for_a_device(town: Town) -> None:
    phone = town.prosody.client("juliet").login()
    registered = command(phone, "register", app="demo-ios", token="06" * 32)
    publish = (
        f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{registered['node']}'><item><notification xmlns='{ns.PUSH}'/>"
        f"</item></publish><publish-options>{form(secret=registered['secret'])}</publish-options></pubsub>"
    )
    with pytest.raises(RequestFailed, match="forbidden"):
        phone.request("set", publish, PUSH_SERVICE)
    phone.close()


def test_who_unregisters_is_not_known_any_more(town: Town) -> None:
    phone = town.prosody.client("juliet").login()
    node = command(phone, "register", app="demo-ios", token="07" * 32)["node"]
    assert {} == command(phone, "unregister", node=node)
    with pytest.raises(RequestFailed, match="item-not-found"):
        command(phone, "unregister", node=node)
    phone.close()


def test_a_device_is_no_account_of_ours(town: Town) -> None:
    phone = town.prosody.client("juliet").login()
    node = command(phone, "register", app="demo-ios", token="09" * 32)["node"]
    phone.close()
    ours = town.wakegate.client(town.wakegate.account()).login()
    ours.send_message(f"{node}@{PUSH_SERVICE}", "psst", "m1")
    answer = ours.wait_for(lambda one: one.get("id") == "m1")
    ours.close()

    assert "error" == answer.get("type")
    assert node not in town.wakegate.command("user", "list")
    assert [] == pushes_for(town, "09" * 32)


def test_why_a_device_was_pushed_can_be_asked(town: Town) -> None:
    phone = town.prosody.client("juliet").login()
    registered = command(phone, "register", app="demo-ios", token="0a" * 32)
    enable(phone, registered)
    phone.wait_accepted()
    phone.cut()
    town.send("juliet")
    town.wait_push("0a" * 32)

    town.wakegate.wait(
        lambda: "delivered" in town.wakegate.command("push", "trace", f"{registered['node']}@{PUSH_SERVICE}", "--json"),
        "the trace",
    )


def test_neither_people_nor_tokens_nor_secrets_are_in_the_log(town: Town) -> None:
    phone = town.prosody.client("juliet").login()
    registered = command(phone, "register", app="demo-ios", token="08" * 32)
    enable(phone, registered)
    phone.wait_accepted()
    phone.cut()
    town.send("juliet", "a secret text")
    town.wait_push("08" * 32)
    log = town.wakegate.log()
    private = [f"juliet@{DOMAIN}", "08" * 32, registered["node"], registered["secret"], "a secret text", peers.SECRET]

    assert "push_ended" in log
    assert [] == [word for word in private if word in log]
