"""`wakegate push` as an operator runs it: in processes of its own, which are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.push.commands import ROOT, a_configuration, a_dead_letter, ask
from tests.push.sleeping import Town, wait_until
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone, in_words
from workers.sandbox.server import Sandbox


@pytest.fixture
def town(redis_url: str) -> Iterator[Town]:
    """Mailboxes on an empty Redis."""
    made = Town(redis_url)
    yield made
    made.leave()


@pytest.fixture
def config(tmp_path: Path, redis_url: str, sandbox: Sandbox) -> Path:
    """See `a_configuration`; nothing takes long here."""
    file = a_configuration(tmp_path, redis_url, sandbox)
    file.write_text(file.read_text().replace("request_timeout = 5.0", "request_timeout = 1.0"))
    return file


def start(config: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "gateway", "push", "--config", str(config)], cwd=ROOT)


def delivered(sandbox: Sandbox) -> int:
    return len(sandbox.record.since(status=200))


def all_fell_due(town: Town) -> bool:
    town.let_retries_fall_due()
    return True


def test_a_worker_that_is_killed_loses_no_push(config: Path, town: Town, sandbox: Sandbox) -> None:
    sandbox.arm_apns(action="ignore")
    doomed = start(config)
    for number in range(20):
        town.a_sleeping_phone(f"user{number}@localhost", token=f"{number:064x}").gets()
    wait_until(lambda: len(sandbox.record.since()) >= 20, 60)
    os.kill(doomed.pid, signal.SIGKILL)
    doomed.wait(20)
    sandbox.faults.disarm()
    heir = start(config)
    try:
        wait_until(lambda: all_fell_due(town) and delivered(sandbox) == 20, 90)
        wait_until(lambda: all_fell_due(town) and town.events() == 0, 30)
    finally:
        heir.terminate()

    assert 0 == heir.wait(30)
    assert {f"{number:064x}" for number in range(20)} == {p.token for p in sandbox.record.since(status=200)}
    assert 0 == sandbox.stats()["apns_duplicates"]


@pytest.mark.parametrize("app", ["chat", "droid"])
def test_check_says_that_a_credential_is_good(config: Path, sandbox: Sandbox, app: str) -> None:
    done = ask(config, "check", app)

    assert 0 == done.returncode, done.stderr
    assert done.stdout.startswith(f"{app}: ")
    assert 0 == len(sandbox.record.since(provider="apns"))


def test_check_of_an_app_that_is_not_there_names_those_that_are(config: Path) -> None:
    done = ask(config, "check", "other")

    assert 1 == done.returncode
    assert "chat, stranger, droid" in done.stderr


@pytest.mark.parametrize(("app", "token"), [("chat", "ab" * 32), ("droid", "a-registration-token")])
def test_a_test_push_arrives(config: Path, sandbox: Sandbox, app: str, token: str) -> None:
    done = ask(config, "test", app, token)

    assert 0 == done.returncode, done.stderr
    assert "accepted as" in done.stdout
    assert token == sandbox.record.since()[0].token


def test_a_test_push_says_why_it_failed(config: Path) -> None:
    done = ask(config, "test", "stranger", "ab" * 32)

    assert 1 == done.returncode
    first, *rest = done.stderr.splitlines()
    assert "stranger: not now: InvalidProviderToken; try again when that is repaired" == first
    assert any("The key belongs to another team" in line for line in rest)


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Delivered("7F"), "accepted as 7F"),
        (TokenGone(None, "BadDeviceToken"), "the device token is dead: BadDeviceToken"),
        (TokenGone(1_700_000_000_000), "the device token is dead since 2023-11-14 22:13:20 UTC"),
        (Later(30.0, "TooManyRequests"), "not now: TooManyRequests; try again in 30 s"),
        (Later(), "not now; try again later"),
        (Refused("BadTopic", alert=True), "refused for good: BadTopic"),
    ],
)
def test_every_outcome_can_be_said_in_words(outcome: Outcome, words: str) -> None:
    assert words == in_words(outcome)


def test_dead_letters_are_listed_without_secrets_and_replayed(config: Path, town: Town) -> None:
    a_dead_letter(town)
    listed = ask(config, "dead", "list", "--json")
    (letter,) = json.loads(listed.stdout)
    replayed = ask(config, "dead", "replay", letter["letter"])

    assert ("chat", "message", "why not") == (letter["app"], letter["kind"], letter["why"])
    assert letter["account"].startswith("hash:")
    assert "ab" * 32 not in listed.stdout
    assert "juliet" not in listed.stdout
    assert "1 replayed\n" == replayed.stdout
    assert 1 == town.events()
    assert "" == ask(config, "dead", "list").stdout
    assert [] == json.loads(ask(config, "dead", "list", "--json").stdout)


def test_replaying_a_letter_that_is_not_there_is_a_failure(config: Path) -> None:
    done = ask(config, "dead", "replay", "1-0")

    assert 1 == done.returncode
    assert "1-0: there is no such letter" in done.stderr


def test_replaying_nothing_is_wrong_use(config: Path) -> None:
    assert 2 == ask(config, "dead", "replay").returncode
