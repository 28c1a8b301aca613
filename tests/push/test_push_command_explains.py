"""`wakegate push check`, `test` and `dead` name the usual mistakes, as the sandbox makes them happen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.push.commands import DEVICE, a_configuration, a_dead_letter, ask, call, in_json
from tests.push.sleeping import Town
from workers.sandbox.server import Sandbox


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


GOOGLES = "dGhpc19pc19h:APA91b" + "Xy_z-9" * 20


def mistakes(config: Path, *words: str) -> list[str]:
    found = in_json(call(config, *words, "--json"))
    return [it["mistake"] for it in (found[0] if isinstance(found, list) else found)["mistakes"]]


def dead_token(reason: str) -> str:
    return reason + "ab" * ((64 - len(reason)) // 2)


def test_all_apps_are_checked_when_none_is_named_and_one_bad_one_fails_the_check(config: Path) -> None:
    file = config.parent / "no.p8"
    file.write_text("no key")
    text = config.read_text()
    config.write_text(f'{text}\n[push.apps.broken]\nprovider = "apns"\ntopic = "org.example.chat"\n'
                      f'team_id = "TEAM123456"\nkey_id = "KEY1234567"\nkey_file = "{file}"\n')  # fmt: skip
    done = ask(config, "check", "--json")
    found = {it["app"]: it for it in in_json(done)}

    assert 1 == done.returncode
    assert {"chat": True, "stranger": True, "droid": True, "broken": False} == {k: v["ok"] for k, v in found.items()}
    assert ["key-file-wrong"] == [it["mistake"] for it in found["broken"]["mistakes"]]


def test_a_deep_check_has_apple_judge_the_key(config: Path) -> None:
    good, bad = call(config, "check", "chat", "--deep"), call(config, "check", "stranger", "--deep")

    assert (0, 1) == (good.returncode, bad.returncode)
    assert good.stdout.startswith("chat: Apple takes the key KEY1234567 of team TEAM123456 for org.example.chat")
    assert bad.stderr.startswith("stranger: InvalidProviderToken\n")


def test_a_check_can_be_made_without_a_network(config: Path, sandbox: Sandbox) -> None:
    config.write_text(config.read_text().replace(str(sandbox.addresses["apns_endpoint"]), "https://127.0.0.1:1"))

    assert 0 == ask(config, "check", "chat", "--offline").returncode
    assert ["connection-blocked"] == mistakes(config, "check", "chat")


def test_what_was_said_is_explained_for_people(config: Path) -> None:
    done = call(config, "test", "chat", "<abab abab>")

    assert 1 == done.returncode
    assert done.stderr.startswith("chat: the device token is dead: malformed\n")
    assert "The token has blanks, brackets or quotes in it." in done.stderr
    assert "abab" not in done.stderr + done.stdout


@pytest.mark.parametrize(
    ("app", "token", "options", "mistake"),
    [
        ("chat", dead_token("dead4000"), (), "development-token-in-production"),
        ("chat", dead_token("dead4000"), ("--environment", "sandbox"), "store-token-in-sandbox"),
        ("chat", dead_token("dead4000"), ("--environment", "auto"), "token-unknown-to-apple"),
        ("chat", dead_token("dead4006"), (), "token-of-another-app"),
        ("chat", dead_token("dead4005"), (), "topic-wrong"),
        ("chat", dead_token("dead400d"), (), "key-for-other-topics"),
        ("chat", dead_token("dead4032"), (), "key-for-other-environment"),
        ("chat", dead_token("dead4033"), (), "clock-wrong-at-apple"),
        ("chat", dead_token("dead4100"), (), "app-removed"),
        ("chat", GOOGLES, (), "fcm-token-at-apns"),
        ("droid", "fail-SENDER_ID_MISMATCH-1", (), "service-account-of-another-project"),
        ("droid", "fail-THIRD_PARTY_AUTH_ERROR-1", (), "key-at-firebase-missing"),
        ("droid", "fail-INVALID_ARGUMENT-1", (), "fcm-token-malformed"),
        ("droid", "fail-UNREGISTERED-1", (), "app-removed"),
        ("droid", "fail-QUOTA_EXCEEDED-1", (), "too-many-pushes"),
        ("droid", "fail-BAD_GATEWAY-1", (), "provider-down"),
    ],
)
def test_a_test_push_that_fails_says_which_mistake_it_was(
    config: Path, app: str, token: str, options: tuple[str, ...], mistake: str
) -> None:
    assert [mistake] == mistakes(config, "test", app, token, *options)


def test_a_key_that_apple_does_not_know_leaves_a_choice(config: Path) -> None:
    found = mistakes(config, "test", "stranger", DEVICE)

    assert "key-of-another-team" in found
    assert "key-revoked" in found


@pytest.mark.parametrize("ahead_s", [7200, -7200])
def test_a_clock_that_is_wrong_is_named(config: Path, sandbox: Sandbox, ahead_s: int) -> None:
    sandbox.clock.advance(ahead_s)
    try:
        apple, google = mistakes(config, "test", "chat", DEVICE), mistakes(config, "check", "droid")
    finally:
        sandbox.clock.advance(-ahead_s)

    assert "clock-wrong-at-apple" in apple
    assert ["clock-wrong-at-google"] == google


def test_google_s_details_tell_a_disabled_api_from_a_missing_role(config: Path, sandbox: Sandbox) -> None:
    detail = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "SERVICE_DISABLED"}
    said = "Firebase Cloud Messaging API has not been used in project 1 before or it is disabled."
    body = {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": said, "details": [detail]}}
    sandbox.arm_fcm(status=403, body=json.dumps(body), content_type="application/json")

    assert ["api-disabled"] == mistakes(config, "check", "droid")


def test_a_service_account_of_another_project_may_not_send(config: Path, sandbox: Sandbox) -> None:
    account = json.loads(Path(sandbox.addresses["service_account_file"]).read_text())
    file = config.parent / "other.json"
    file.write_text(json.dumps({**account, "project_id": "another-project"}))
    config.write_text(config.read_text().replace(sandbox.addresses["service_account_file"], str(file)))

    assert ["role-missing"] == mistakes(config, "check", "droid")


def test_a_deleted_key_of_a_service_account_is_named(config: Path, sandbox: Sandbox) -> None:
    account = json.loads(Path(sandbox.addresses["service_account_file"]).read_text())
    file = config.parent / "other.json"
    file.write_text(json.dumps({**account, "private_key_id": "0" * 40}))
    config.write_text(config.read_text().replace(sandbox.addresses["service_account_file"], str(file)))

    assert ["service-account-key-deleted"] == mistakes(config, "check", "droid")


def test_a_dry_run_shows_the_request_and_sends_nothing(config: Path, sandbox: Sandbox) -> None:
    done = call(config, "test", "chat", DEVICE, "--dry-run", "--json")
    request = in_json(done)["request"]

    assert 0 == done.returncode, done.stderr
    assert ("POST", "org.example.chat", "alert", "10") == (
        request["method"], request["headers"]["apns-topic"], request["headers"]["apns-push-type"],
        request["headers"]["apns-priority"],
    )  # fmt: skip
    assert "bearer (hidden)" == request["headers"]["authorization"]
    assert request["url"].endswith("/3/device/(device token)")
    assert "New message" == request["payload"]["aps"]["alert"]["body"]
    assert DEVICE not in done.stdout
    assert 0 == len(sandbox.record.since())


def test_a_dry_run_for_android_is_judged_by_google_and_sent_to_nobody(config: Path, sandbox: Sandbox) -> None:
    done = call(config, "test", "droid", "a-registration-token", "--dry-run")
    (seen,) = sandbox.record.since()

    assert 0 == done.returncode, done.stderr
    assert "nothing was sent; Google would take it" in done.stdout
    assert "a-registration-token" not in done.stdout
    assert "Bearer (hidden)" in done.stdout
    assert seen.payload["validate_only"] is True


def test_a_dry_run_says_what_google_thinks_of_a_token(config: Path) -> None:
    assert ["service-account-of-another-project"] == mistakes(
        config, "test", "droid", "fail-SENDER_ID_MISMATCH-1", "--dry-run"
    )


def test_a_dry_run_without_a_network_asks_nobody(config: Path, sandbox: Sandbox) -> None:
    done = call(config, "test", "droid", "a-registration-token", "--dry-run", "--offline")

    assert 0 == done.returncode, done.stderr
    assert [] == list(sandbox.record.since())


def test_a_dry_run_knows_a_token_that_cannot_work(config: Path) -> None:
    assert ["apns-token-at-fcm"] == mistakes(config, "test", "droid", DEVICE, "--dry-run")


@pytest.mark.parametrize(("kind", "alert"), [("call", "Incoming call"), ("call-ended", "Missed call")])
def test_other_kinds_of_pushes_can_be_tried(config: Path, kind: str, alert: str) -> None:
    request = in_json(call(config, "test", "chat", DEVICE, "--dry-run", "--kind", kind, "--json"))["request"]

    assert alert == request["payload"]["aps"]["alert"]["body"]
    assert kind == request["payload"]["wakegate"]["kind"]


def test_a_call_to_a_pushkit_token_is_a_voip_push(config: Path) -> None:
    words = ("test", "chat", DEVICE, "--dry-run", "--kind", "call", "--voip-token", "cd" * 32, "--json")
    done = call(config, *words)

    assert "voip" == in_json(done)["request"]["headers"]["apns-push-type"]
    assert "cdcd" not in done.stdout


def test_a_dead_letter_is_explained_and_names_nobody_unless_asked(config: Path, town: Town) -> None:
    a_dead_letter(town, "DeviceTokenNotForTopic")
    (letter,) = in_json(ask(config, "dead", "list", "--json"))
    told = ask(config, "dead", "explain", letter["letter"])
    named = ask(config, "dead", "explain", letter["letter"], "--accounts")

    assert 0 == told.returncode, told.stderr
    assert "token-of-another-app" == letter["mistake"]
    assert "DeviceTokenNotForTopic (token-of-another-app)" in ask(config, "dead", "list").stdout
    assert "The token belongs to another app." in told.stdout
    assert "juliet" not in told.stdout
    assert "juliet@localhost" in named.stdout
    assert ["token-of-another-app"] == mistakes(config, "dead", "explain", letter["letter"])


def test_a_letter_that_is_not_there_cannot_be_explained(config: Path) -> None:
    done = ask(config, "dead", "explain", "1-0")

    assert 1 == done.returncode
    assert "1-0: there is no such letter; see: wakegate push dead list" in done.stderr


def test_replaying_can_be_read_by_machines(config: Path, town: Town) -> None:
    a_dead_letter(town)
    (letter,) = in_json(ask(config, "dead", "list", "--json"))

    assert {"replayed": [letter["letter"]], "missing": []} == in_json(ask(config, "dead", "replay", "--all", "--json"))


def test_accounts_in_letters_are_hashed_with_the_key_of_the_log(config: Path, town: Town) -> None:
    a_dead_letter(town)
    config.write_text(config.read_text() + '\n[log]\nredact_key = "a key"\n')
    first, second = (in_json(ask(config, "dead", "list", "--json"))[0]["account"] for _ in range(2))

    assert first == second
    assert first.startswith("hash:")


def web_push(config: Path, sandbox: Sandbox) -> tuple[str, ...]:
    """A browser that subscribed to an app of its own at the sandbox; what names it to `push test`."""
    where = sandbox.addresses
    text = f"""
[push.apps.web]
provider = "webpush"
vapid_key_file = "{where["vapid_key_file"]}"
vapid_subject = "mailto:push@example.org"
ca_file = "{where["ca_file"]}"
allow_private = true
"""
    config.write_text(config.read_text() + text)
    it = sandbox.subscribe().as_json()
    return "web", it["endpoint"], "--p256dh", it["keys"]["p256dh"], "--auth", it["keys"]["auth"]


def test_a_browser_can_be_pushed(config: Path, sandbox: Sandbox) -> None:
    done = call(config, "test", *web_push(config, sandbox))

    assert 0 == done.returncode, done.stderr
    assert 1 == len(sandbox.record.since(provider="webpush", status=201))


def test_a_dry_run_for_a_browser_hides_its_endpoint(config: Path, sandbox: Sandbox) -> None:
    words = web_push(config, sandbox)
    done = call(config, "test", *words, "--dry-run", "--json")
    request = in_json(done)["request"]

    assert 0 == done.returncode, done.stderr
    assert words[1] not in done.stdout
    assert request["url"].endswith("/(endpoint)")
    assert ("high", "vapid (hidden)") == (request["headers"]["urgency"], request["headers"]["authorization"])
    assert "message" == request["payload"]["kind"]
    assert 0 == len(sandbox.record.since())


def test_a_subscription_that_has_ended_is_named(config: Path, sandbox: Sandbox) -> None:
    words = web_push(config, sandbox)
    sandbox.arm_webpush(words[1], status=410)

    assert ["endpoint-gone"] == mistakes(config, "test", *words)


def test_another_vapid_key_than_the_one_subscribed_with_is_named(config: Path, sandbox: Sandbox) -> None:
    words = web_push(config, sandbox)
    sandbox.arm_webpush(words[1], status=403)

    assert ["vapid-key-changed"] == mistakes(config, "test", *words)


@pytest.mark.parametrize(
    ("endpoint", "mistake"),
    [
        (GOOGLES, "endpoint-malformed"),
        ("no-url", "endpoint-malformed"),
    ],
)
def test_what_is_no_endpoint_is_named(config: Path, sandbox: Sandbox, endpoint: str, mistake: str) -> None:
    web_push(config, sandbox)

    assert [mistake] == mistakes(config, "test", "web", endpoint)


@pytest.mark.parametrize("endpoint", ["https://127.0.0.1/x", "http://example.org/x", "https://example.org:25/x"])
def test_an_endpoint_that_leads_astray_is_named(config: Path, sandbox: Sandbox, endpoint: str) -> None:
    web_push(config, sandbox)
    config.write_text(config.read_text().replace("allow_private = true", "allow_private = false"))

    assert ["endpoint-private"] == mistakes(config, "test", "web", endpoint)


def test_an_app_server_that_nobody_is_connected_for_is_named(config: Path) -> None:
    text = '\n[push.apps.other]\nprovider = "appserver"\nservice = "push.elsewhere.example"\n'
    config.write_text(config.read_text() + text)

    assert 0 == call(config, "check", "other", "--offline").returncode
    assert ["app-server-does-not-answer"] == mistakes(config, "check", "other")
    assert ["app-server-does-not-answer"] == mistakes(config, "test", "other", "a-node")


def test_a_dry_run_for_an_app_server_shows_what_would_be_published(config: Path) -> None:
    text = '\n[push.apps.other]\nprovider = "appserver"\nservice = "push.elsewhere.example"\n'
    config.write_text(config.read_text() + text)
    done = call(config, "test", "other", "a-secret-node", "--dry-run")

    assert 0 == done.returncode, done.stderr
    assert "iq set push.elsewhere.example" in done.stdout
    assert "<publish node='(device token)'>" in done.stdout
    assert "a-secret-node" not in done.stdout
