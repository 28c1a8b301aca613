"""`wakegate push trace` on real mailboxes: what it says of a device, and what it keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gateway.mailbox.push_workers import CredentialReport, PushWorkers, WorkerReport
from gateway.mailbox.pushes import Pushes, Told, push_id
from tests.push.commands import a_configuration, call, in_json, the_event
from tests.push.sleeping import Town
from workers.sandbox.server import Sandbox

JULIET = "juliet@localhost"
TOKEN = "ab" * 32


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    """Mailboxes on an empty Redis."""
    made = Town(redis_url)
    yield made
    made.leave()


@pytest.fixture
def config(tmp_path: Path, redis_url: str, sandbox: Sandbox) -> Path:
    """See `a_configuration`."""
    return a_configuration(tmp_path, redis_url, sandbox)


def says(config: Path, whose: str = JULIET) -> str:
    done = call(config, "trace", whose)

    assert 0 == done.returncode, done.stderr
    return done.stdout


def pushed(town: Town, outcome: str = "delivered", why: str = "") -> str:
    """What a worker does with the event that waits; answers the push's id."""
    pushes, event = Pushes(town.journal), the_event(town)
    claim: Any = pushes.claim(event, floor_ms=0)
    (registration,) = claim.registrations
    told = Told(push_id=push_id(event.bucket, event.id, "name"), provider="apns", why=why, after_ms=41)
    pushes.outcome(event, registration, outcome, told=told)
    pushes.done(event, final=True)
    return told.push_id


def test_who_is_not_there_is_said_not_to_be(config: Path) -> None:
    done = call(config, "trace", "nobody@localhost")

    assert 1 == done.returncode
    assert "there is no such account here" in done.stdout


@pytest.mark.parametrize("word", ["@localhost", "a@b@c", ""])
def test_what_is_no_jid_and_no_push_id_is_wrong_use(config: Path, word: str) -> None:
    assert 2 == call(config, "trace", word).returncode


def test_a_device_that_reads_needs_no_push(config: Path, town: Town) -> None:
    town.a_phone().register()
    found = says(config)

    assert "app chat, resource phone, registered" in found
    assert "it gets what comes over its stream: no push is needed" in found
    assert "nothing was decided yet" in found


def test_an_account_without_a_registration(config: Path, town: Town) -> None:
    town.a_phone()

    assert "no device is registered for pushes: its client has not sent <enable/>" in says(config)


def test_an_event_waits_and_no_worker_runs(config: Path, town: Town) -> None:
    town.a_sleeping_phone().gets()
    found = says(config)

    assert "1 message waits that wakes" in found
    assert "a push event (message," in found


def test_a_delivered_push_is_in_the_trace_by_account_and_by_its_id(config: Path, town: Town) -> None:
    town.a_sleeping_phone().gets()
    name = pushed(town)
    by_account, by_id = says(config), says(config, name)

    assert f"delivered: apns took it 41 ms after the event  [{name}]" in by_account
    assert "a push was made for all of them" in by_account
    assert "delivered: apns took it 41 ms after the event" in by_id
    assert "juliet" not in by_id


def test_a_refusal_is_explained(config: Path, town: Town) -> None:
    town.a_sleeping_phone().gets()
    pushed(town, "refused", "DeviceTokenNotForTopic")
    found = says(config)

    assert "refused for good: DeviceTokenNotForTopic" in found
    assert "The token belongs to another app." in found


def test_a_phone_that_came_back_first_has_a_cancelled_push(config: Path, town: Town) -> None:
    phone = town.a_sleeping_phone()
    phone.gets()
    event = the_event(town)
    phone.wake()
    Pushes(town.journal).claim(event, floor_ms=0)

    assert "no push: the phone was back first" in says(config)


def test_a_credential_that_nobody_tries_is_named(config: Path, town: Town) -> None:
    town.a_sleeping_phone().gets()
    credential = CredentialReport(provider="apns", apps=("chat",), breakers={"open": 1}, why="InvalidProviderToken")
    PushWorkers(town.journal).report("w1", WorkerReport(in_hand=0, credentials=(credential,)))

    assert "its provider is not asked just now: breaker open: InvalidProviderToken" in says(config)


def test_an_app_that_is_gone_from_the_configuration_is_named(config: Path, town: Town) -> None:
    town.a_sleeping_phone(app="gone").gets()

    assert "its app gone is not in the configuration" in says(config)


def test_an_app_of_workers_with_another_configuration_is_not_called_unknown(config: Path, town: Town) -> None:
    town.a_sleeping_phone(app="elsewhere").gets()
    credential = CredentialReport(provider="apns", apps=("elsewhere",), breakers={"closed": 1}, why="")
    PushWorkers(town.journal).report("w1", WorkerReport(in_hand=0, credentials=(credential,)))

    assert "its app elsewhere is one of running workers, but not of the configuration that was read" in says(config)


def test_all_of_it_can_be_read_by_machines(config: Path, town: Town) -> None:
    town.a_sleeping_phone().gets()
    pushed(town, "refused", "DeviceTokenNotForTopic")
    found = in_json(call(config, "trace", JULIET, "--json"))
    (device,) = found["devices"]

    assert (JULIET, "here") == (found["account"], found["place"])
    assert ("chat", "phone", "asleep", 1) == (
        device["app"], device["resource"], device["session"]["state"], device["session"]["waiting"]
    )  # fmt: skip
    assert ["token-of-another-app"] == [mistake["mistake"] for mistake in device["mistakes"]]
    assert ["refused"] == [decision["what"] for decision in found["decisions"]]


def test_a_push_id_that_nobody_knows_is_a_failure(config: Path) -> None:
    done = call(config, "trace", "00000000-0000-4000-8000-000000000000")

    assert 1 == done.returncode
    assert "nothing is kept about the push" in done.stderr


def test_no_secret_is_shown(config: Path, town: Town) -> None:
    phone = town.a_sleeping_phone(token=TOKEN, node="secret-node", voip_token="cd" * 32)
    phone.gets("secret body", sender="romeo@localhost/garden")
    pushed(town)
    shown = says(config) + call(config, "trace", JULIET, "--json").stdout

    for secret in (TOKEN, "cdcd", "secret", "romeo", phone.grip.sid + '"'):
        assert secret not in shown
    assert JULIET in shown
