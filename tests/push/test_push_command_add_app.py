"""`wakegate push add-app` as somebody uses it in an empty directory, beside the sandbox."""

from __future__ import annotations

import json
import shutil
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.push.commands import DEVICE, Done, at_a_terminal, call, in_json, run
from tests.push.test_configure import a_certificate, a_key
from workers.push.providers.webpush.keys import public_key
from workers.sandbox.server import Sandbox


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ios(sandbox: Sandbox, **changed: str) -> list[str]:
    """Flags for an iPhone app at the sandbox."""
    where = sandbox.addresses
    values = {
        "provider": "apns", "topic": "org.example.chat", "team-id": "TEAM123456", "key-id": "KEY1234567",
        "key-file": where["apns_key_file"], "endpoint": where["apns_endpoint"], "ca-file": where["ca_file"],
    }  # fmt: skip
    return [word for name, value in {**values, **changed}.items() if value for word in (f"--{name}", value)]


def android(sandbox: Sandbox, file: str = "") -> list[str]:
    where = sandbox.addresses
    file = file or where["service_account_file"]
    return ["--provider", "fcm", "--service-account-file", file, "--endpoint", where["fcm_endpoint"]]


def add(name: str, *words: str, config: str = "wakegate.toml") -> Done:
    """In this process: a configuration that does not exist yet is made."""
    return call(Path(config), "add-app", name, "--yes", *words)


def section(home: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((home / "wakegate.toml").read_text())["push"]["apps"][name]
    return found


def test_an_iphone_app_is_added_checked_and_pushed_to(home: Path, sandbox: Sandbox) -> None:
    added = add("chat-ios", *ios(sandbox))
    checked = call(Path("wakegate.toml"), "check")
    tried = call(Path("wakegate.toml"), "test", "chat-ios", DEVICE)

    assert 0 == added.returncode, added.stderr
    assert 0 == checked.returncode, checked.stderr
    assert 0 == tried.returncode, tried.stderr
    assert "credentials/AuthKey.p8" == section(home, "chat-ios")["key_file"]
    assert "wakegate.toml: no faults found" in added.stdout
    assert 1 == len(sandbox.record.since(token=DEVICE))


@pytest.mark.parametrize("provider", ["apns", "fcm", "webpush"])
def test_an_app_at_the_sandbox_needs_its_directory_and_nothing_else(
    home: Path, sandbox: Sandbox, provider: str
) -> None:
    directory = Path(sandbox.addresses["ca_file"]).parents[1]
    added = add("app", "--provider", provider, "--sandbox", str(directory))
    checked = call(Path("wakegate.toml"), "check", "app", "--deep")

    assert 0 == added.returncode, added.stderr
    assert 0 == checked.returncode, checked.stderr
    assert provider == section(home, "app")["provider"]


def test_an_app_at_the_sandbox_may_have_its_certificate_in_place_of_its_key(home: Path, sandbox: Sandbox) -> None:
    directory = Path(sandbox.addresses["ca_file"]).parents[1]
    certificate = str(directory / "sandbox" / "client.pem")
    added = add("app", "--provider", "apns", "--sandbox", str(directory), "--certificate-file", certificate)

    assert 0 == added.returncode, added.stderr
    assert not {"key_file", "key_id", "team_id"} & set(section(home, "app"))
    assert "credentials/client.pem" == section(home, "app")["certificate_file"]


def test_a_sandbox_that_never_ran_is_said_not_to_have(home: Path) -> None:
    done = add("app", "--provider", "fcm", "--sandbox", "nowhere")

    assert 1 == done.returncode
    assert "start `wakegate sandbox --data-dir nowhere` first" in done.stderr


def test_an_app_of_an_earlier_file_is_not_written_a_second_time(home: Path, sandbox: Sandbox) -> None:
    add("chat-ios", *ios(sandbox))
    done = call(Path("second.toml"), "add-app", "chat-ios", "--yes", *ios(sandbox), "--config", "wakegate.toml")
    other = call(Path("wakegate.toml"), "add-app", "chat-ios", "--yes", *ios(sandbox), "--config", "wakegate.toml")

    assert (1, 1) == (done.returncode, other.returncode)
    assert "already" in done.stderr


def test_credentials_and_their_directory_are_their_owner_s_alone(home: Path, sandbox: Sandbox) -> None:
    add("chat-ios", *ios(sandbox))
    add("droid", *android(sandbox))
    directory = home / "credentials"

    assert 0o700 == stat.S_IMODE(directory.stat().st_mode)
    assert {"AuthKey.p8": 0o600, "service-account.json": 0o600} == {
        file.name: stat.S_IMODE(file.stat().st_mode) for file in directory.iterdir()
    }


def test_no_key_material_is_printed(home: Path, sandbox: Sandbox) -> None:
    where = sandbox.addresses
    printed = "".join(
        done.stdout + done.stderr
        for done in (add("ios", *ios(sandbox)), add("droid", *android(sandbox)), call(Path("wakegate.toml"), "check"))
    )
    secrets = [line for line in Path(where["apns_key_file"]).read_text().splitlines() if "KEY" not in line]
    secrets += json.loads(Path(where["service_account_file"]).read_text())["private_key"].splitlines()[1:-1]

    assert 10 < len(secrets)
    assert not [secret for secret in secrets if secret in printed]


def test_an_android_app_gets_an_access_token_before_it_is_written(home: Path, sandbox: Sandbox) -> None:
    done = add("droid", *android(sandbox))

    assert 0 == done.returncode, done.stderr
    assert "may send for project wakegate-demo" in done.stdout
    assert "credentials/service-account.json" == section(home, "droid")["service_account_file"]


@pytest.mark.parametrize(
    ("changed", "mistake"),
    [
        ({"team-id": "TEAM654321"}, "The key belongs to another team."),
        ({"topic": "org.example.forbidden"}, "The key is for other apps only."),
    ],
)
def test_what_apple_refuses_is_not_written(home: Path, sandbox: Sandbox, changed: dict[str, str], mistake: str) -> None:
    if "topic" in changed:
        sandbox.arm_apns(reason="TopicDisallowed", status=400)
    done = add("chat-ios", *ios(sandbox, **changed))

    assert 1 == done.returncode
    assert mistake in " ".join(done.stderr.split())
    assert [] == list(home.iterdir())


def test_what_google_refuses_is_not_written(home: Path, sandbox: Sandbox) -> None:
    account = json.loads(Path(sandbox.addresses["service_account_file"]).read_text())
    (home / "deleted.json").write_text(json.dumps({**account, "private_key_id": "0" * 40}))
    done = add("droid", *android(sandbox, "deleted.json"))

    assert 1 == done.returncode
    assert "The service account's key was deleted." in done.stderr
    assert "nothing was written" in done.stderr
    assert ["deleted.json"] == [file.name for file in home.iterdir()]


def test_without_a_network_an_app_is_added_all_the_same(home: Path, sandbox: Sandbox) -> None:
    blocked = add("ios", *ios(sandbox, endpoint="https://127.0.0.1:1"))
    offline = add("mac", *ios(sandbox, endpoint="https://127.0.0.1:1"), "--offline")

    assert (0, 0) == (blocked.returncode, offline.returncode)
    assert "The provider cannot be asked now" in blocked.stdout
    assert {"ios", "mac"} == set(tomllib.loads((home / "wakegate.toml").read_text())["push"]["apps"])


@pytest.mark.parametrize(
    ("changed", "fault"),
    [
        ({"topic": "Chat"}, "topic: a bundle ID looks like"),
        ({"team-id": "team"}, "team_id: has ten characters"),
        ({"key-file": "missing.p8"}, "key_file: missing.p8: cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_is_not_written(home: Path, sandbox: Sandbox, changed: dict[str, str], fault: str) -> None:
    done = add("chat-ios", *ios(sandbox, **changed))

    assert 1 == done.returncode
    assert fault in done.stderr
    assert [] == list(home.iterdir())


def test_the_key_id_is_guessed_from_the_file_s_name(home: Path, sandbox: Sandbox) -> None:
    file = home / "AuthKey_KEY1234567.p8"
    shutil.copy(sandbox.addresses["apns_key_file"], file)
    done = add("chat-ios", *ios(sandbox, **{"key-id": "", "key-file": str(file)}))

    assert 0 == done.returncode, done.stderr
    assert "KEY1234567" == section(home, "chat-ios")["key_id"]


def test_a_key_that_apple_named_otherwise_is_refused(home: Path, sandbox: Sandbox) -> None:
    file = a_key(home, "AuthKey_ABCDE12345.p8")
    done = add("chat-ios", *ios(sandbox, **{"key-file": file}))

    assert 1 == done.returncode
    assert "Set key_id to the ten characters in the name of the file" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("options", "words"),
    [({"topic": "org.example.other"}, "The certificate is of another app."),
     ({"days": (-4000, -3000)}, "The certificate has expired, or is not valid yet."),
     ({"with_key": False}, "The certificate file has no private key, or a password.")],
)  # fmt: skip
def test_a_certificate_that_apple_would_refuse_is_explained(home: Path, options: dict[str, Any], words: str) -> None:
    file = a_certificate(home, **options)
    done = add("ios", "--provider", "apns", "--topic", "org.example.chat", "--certificate-file", file, "--offline")

    assert 1 == done.returncode
    assert words in " ".join(done.stderr.split())


def test_a_push_certificate_will_do(home: Path, sandbox: Sandbox) -> None:
    certificate = sandbox.addresses["client_certificate_file"]
    flags = {"key-id": "", "team-id": "", "key-file": "", "certificate-file": certificate}
    added = add("chat-ios", *ios(sandbox, **flags))
    tried = call(Path("wakegate.toml"), "test", "chat-ios", DEVICE)

    assert 0 == added.returncode, added.stderr
    assert 0 == tried.returncode, tried.stderr
    assert 0o600 == stat.S_IMODE((home / "credentials" / "client.pem").stat().st_mode)


def test_a_key_for_web_push_is_made_and_its_public_half_printed(home: Path) -> None:
    done = add("web", "--provider", "webpush", "--vapid-subject", "mailto:push@example.org")
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("web: "))

    assert 0 == done.returncode, done.stderr
    assert 87 == len(line.rpartition(" ")[2])
    assert "credentials/vapid-web.pem" == section(home, "web")["vapid_key_file"]
    assert public_key(home / "credentials" / "vapid-web.pem") == section(home, "web")["vapid_public_key"]
    assert 0o600 == stat.S_IMODE((home / "credentials" / "vapid-web.pem").stat().st_mode)


def test_a_key_for_web_push_survives_a_change(home: Path) -> None:
    add("web", "--provider", "webpush", "--vapid-subject", "mailto:push@example.org")
    before = (home / "credentials" / "vapid-web.pem").read_bytes()
    done = add("web", "--vapid-subject", "https://example.org/push", "--replace")

    assert 0 == done.returncode, done.stderr
    assert before == (home / "credentials" / "vapid-web.pem").read_bytes()
    assert "https://example.org/push" == section(home, "web")["vapid_subject"]


def test_an_app_that_is_there_is_changed_only_on_demand(home: Path, sandbox: Sandbox) -> None:
    add("chat-ios", *ios(sandbox))
    refused = add("chat-ios", *ios(sandbox))
    changed = add("chat-ios", "--content", "sender", "--replace")

    assert 1 == refused.returncode
    assert "--replace changes it" in refused.stderr
    assert 0 == changed.returncode, changed.stderr
    assert ("sender", "KEY1234567") == (section(home, "chat-ios")["content"], section(home, "chat-ios")["key_id"])


def test_a_new_key_takes_the_place_of_the_old_one_and_of_its_id(home: Path, sandbox: Sandbox) -> None:
    add("chat-ios", *ios(sandbox))
    file = a_key(home, "AuthKey_ABCDE12345.p8")
    done = add("chat-ios", "--key-file", file, "--replace", "--offline")

    assert 0 == done.returncode, done.stderr
    assert ("ABCDE12345", "credentials/AuthKey_ABCDE12345.p8") == (
        section(home, "chat-ios")["key_id"], section(home, "chat-ios")["key_file"]
    )  # fmt: skip


def test_comments_and_other_sections_stay(home: Path, sandbox: Sandbox) -> None:
    text = "# my server\n[server]\ndomains = ['example.org']  # one\n\n# the end\n"
    (home / "wakegate.toml").write_text(text)
    add("chat-ios", *ios(sandbox))

    assert (home / "wakegate.toml").read_text().startswith(text)


def test_other_faults_of_the_configuration_are_reported(home: Path, sandbox: Sandbox) -> None:
    (home / "wakegate.toml").write_text("[smacks]\nsmacks_hibernaton_time = 1\n")
    done = add("chat-ios", *ios(sandbox))

    assert 1 == done.returncode
    assert "smacks_hibernaton_time: unknown, did you mean smacks_hibernation_time?" in done.stderr


def test_what_is_missing_is_wrong_use(home: Path) -> None:
    done = add("chat-ios", "--provider", "apns")

    assert 2 == done.returncode
    assert "--key-file is missing" in done.stderr


@pytest.mark.parametrize("name", ["chat.ios", "", "a b", 'x"'])
def test_a_name_that_cannot_be_a_section_s_is_wrong_use(home: Path, name: str) -> None:
    assert 2 == add(name, "--provider", "fcm").returncode


def test_who_sits_at_a_terminal_is_asked(home: Path, sandbox: Sandbox) -> None:
    where = sandbox.addresses
    file = home / "AuthKey_KEY1234567.p8"
    shutil.copy(where["apns_key_file"], file)
    words = ["add-app", "chat-ios", "--endpoint", where["apns_endpoint"], "--sandbox-endpoint",
             where["apns_development_endpoint"], "--ca-file", where["ca_file"], "-c", "wakegate.toml"]  # fmt: skip
    answers = [
        ("Who delivers", "apns"), ("File from Apple", file.name), ("Bundle ID", "org.example.chat"),
        ("Key id", ""), ("Team id", "TEAM123456"), ("Where device tokens", ""), ("The most that", ""), ("Write", "y"),
    ]  # fmt: skip
    status, seen = at_a_terminal(home, words, answers)

    assert 0 == status, seen
    assert ("auto", "none", "KEY1234567") == tuple(
        section(home, "chat-ios")[name] for name in ("environment", "content", "key_id")
    )


def test_who_says_no_at_the_end_has_written_nothing(home: Path, sandbox: Sandbox) -> None:
    words = ["add-app", "droid", *android(sandbox), "--content", "none", "-c", "wakegate.toml"]
    status, seen = at_a_terminal(home, words, [("Write", "n")])

    assert 130 == status, seen
    assert [] == list(home.iterdir())


def test_where_nobody_can_be_asked_the_flag_is_named(home: Path) -> None:
    done = run("add-app", "chat-ios", "--provider", "apns", "-c", "wakegate.toml", cwd=home)

    assert 2 == done.returncode
    assert "--key-file is missing, and nobody is there to be asked" in done.stderr


def test_where_nobody_can_be_asked_what_need_not_be_said_is_said_not_to(home: Path, sandbox: Sandbox) -> None:
    done = run("add-app", "chat-ios", *ios(sandbox), cwd=home)

    assert 2 == done.returncode
    assert "--environment is missing, and nobody is there to be asked; with --yes it may be left out" in done.stderr


def test_the_configuration_is_made_where_none_is_named(home: Path) -> None:
    done = run("add-app", "web", "--yes", "--provider", "webpush", "--vapid-subject", "mailto:a@example.org", cwd=home)

    assert 0 == done.returncode, done.stderr
    assert "config/credentials/vapid-web.pem" in (home / "config" / "wakegate.toml").read_text()
    assert [] == in_json(run("check", "--json", "--offline", cwd=home))[0]["mistakes"]
