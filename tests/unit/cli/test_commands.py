"""The command line over a real store: what it prints, and its exit status."""

from __future__ import annotations

import hashlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.cli import run, wakegate
from gateway.cli.hashing import stretch
from gateway.cli.store import open_store
from gateway.cli.up import Plan
from gateway.configuration import read
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.embedded import EmbeddedServer
from gateway.xmpp.sasl.credentials import Credentials, derive, verify

Command = Callable[..., int]


@pytest.fixture
def command(tmp_path: Path, redis_url: str) -> Command:
    """Runs `wakegate …` with a configuration that points to the test's server."""
    file = tmp_path / "wakegate.toml"
    file.write_text(f'[server]\ndata_dir = "{tmp_path}/data"\ndomains = ["localhost"]\n[redis]\nurl = "{redis_url}"\n')
    return lambda *arguments: wakegate_exits(*arguments, "--config", str(file))


def wakegate_exits(*arguments: str) -> int:
    return run(lambda: wakegate.main(list(arguments), prog_name="wakegate", standalone_mode=False))


def credentials_of(config: Path, user: str) -> Credentials:
    with open_store(read([config])) as journal:
        fields = Accounts(journal).credentials(user)
    assert fields is not None
    return Credentials.from_fields(fields)


def test_an_account_is_made_once(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    first = command("user", "add", "romeo@localhost", "--password", "wherefore")
    second = command("user", "add", "Romeo@LOCALHOST", "--password", "other")
    output = capsys.readouterr()

    assert (0, 1) == (first, second)
    assert "romeo@localhost: account made\n" == output.out
    assert "wakegate: romeo@localhost exists already: wakegate user password romeo@localhost" in output.err


def test_the_password_comes_from_standard_input(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("wherefore\nrest\n"))
    status = command("user", "add", "romeo@localhost", "--password-stdin")

    assert 0 == status
    assert verify("wherefore", credentials_of(tmp_path / "wakegate.toml", "romeo@localhost"))


def test_a_password_is_replaced(command: Command, tmp_path: Path) -> None:
    command("user", "add", "romeo@localhost", "--password", "old")
    status = command("user", "password", "romeo@localhost", "--password", "new")
    credentials = credentials_of(tmp_path / "wakegate.toml", "romeo@localhost")

    assert 0 == status
    assert (False, True) == (verify("old", credentials), verify("new", credentials))


def test_a_password_must_be_given_in_one_way(command: Command) -> None:
    neither = command("user", "add", "romeo@localhost")
    both = command("user", "add", "romeo@localhost", "--password", "x", "--password-stdin")

    assert (2, 2) == (neither, both)


@pytest.mark.parametrize(
    "jid", ["romeo", "@localhost", "localhost", "romeo@localhost/phone", "romeo@example.org", "a b@localhost"]
)
def test_what_is_no_account_of_this_server_is_refused_in_one_line(
    command: Command, capsys: pytest.CaptureFixture[str], jid: str
) -> None:
    status = command("user", "add", jid, "--password", "x")

    assert 1 == status
    assert 1 == capsys.readouterr().err.count("\n")


@pytest.mark.parametrize("name", ["password", "delete", "sessions"])
def test_an_account_that_does_not_exist_is_an_error(
    command: Command, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    more = ["--password", "x"] if name == "password" else []
    status = command("user", name, "nobody@localhost", *more)

    assert 1 == status
    assert "nobody@localhost does not exist" in capsys.readouterr().err


def test_accounts_are_listed_and_deleted(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("romeo", "juliet"):
        command("user", "add", f"{name}@localhost", "--password", "x")
    command("user", "delete", "romeo@localhost")
    capsys.readouterr()
    command("user", "list")
    command("user", "list", "--json")

    assert 'juliet@localhost\n["juliet@localhost"]\n' == capsys.readouterr().out


def test_an_account_without_a_session_has_none(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("user", "add", "romeo@localhost", "--password", "x")
    capsys.readouterr()
    command("user", "sessions", "romeo@localhost", "--json")

    assert [] == json.loads(capsys.readouterr().out)


def test_an_import_makes_what_is_right_and_reports_what_is_wrong(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command("user", "add", "old@localhost", "--password", "kept")
    lines = ["romeo@localhost:a:b", "old@localhost:new", "", "no colon", "x@example.org:secret", "y@localhost:"]
    (tmp_path / "accounts").write_text("\n".join([*lines, *(f"u{i}@localhost:p{i}" for i in range(100))]))
    capsys.readouterr()
    status = command("user", "import", str(tmp_path / "accounts"))
    output = capsys.readouterr()
    config = tmp_path / "wakegate.toml"

    assert 1 == status
    assert "101 accounts made, 1 existed, 3 lines wrong\n" == output.out
    assert ["wakegate: line 4:", "wakegate: line 5:", "wakegate: line 6:"] == [s[:17] for s in output.err.splitlines()]
    assert "secret" not in output.err
    assert verify("a:b", credentials_of(config, "romeo@localhost"))
    assert verify("kept", credentials_of(config, "old@localhost"))


def test_an_import_reports_lines_that_are_not_utf_8_and_takes_the_others(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "accounts").write_bytes(b"\xff\xfe@localhost:x\njuliet@localhost:p\xffw\nromeo@localhost:x\n")
    status = command("user", "import", str(tmp_path / "accounts"))
    output = capsys.readouterr()

    assert 1 == status
    assert "1 accounts made, 0 existed, 2 lines wrong\n" == output.out
    assert {"wakegate: line 1:", "wakegate: line 2:"} == {line[:17] for line in output.err.splitlines()}


def test_an_import_over_several_processes_makes_each_account_once_and_reports_in_order(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [f"u{i}@localhost:p{i}" if i % 60 else "no colon" for i in range(300)]
    (tmp_path / "accounts").write_text("\n".join([*lines, lines[1]]))
    first = command("user", "import", str(tmp_path / "accounts"))
    output = capsys.readouterr()
    command("user", "import", str(tmp_path / "accounts"))

    assert (1, "295 accounts made, 1 existed, 5 lines wrong\n") == (first, output.out)
    assert ["1", "61", "121", "181", "241"] == [line.split()[2].rstrip(":") for line in output.err.splitlines()]
    assert "0 accounts made, 296 existed, 5 lines wrong\n" == capsys.readouterr().out
    assert verify("p299", credentials_of(tmp_path / "wakegate.toml", "u299@localhost"))


def test_an_import_whose_hashing_process_cannot_run_ends_in_one_line(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (tmp_path / "accounts").write_text("romeo@localhost:wherefore\n")
    status = command("user", "import", str(tmp_path / "accounts"))
    error = capsys.readouterr().err

    assert (1, 1) == (status, error.count("\n"))
    assert "wakegate: the process that hashes passwords " in error


def test_both_ways_to_hash_come_to_the_same() -> None:
    mine, other = (derive("wherefore", salt=b"0123456789abcdef", stretch=one) for one in (stretch, hashlib.pbkdf2_hmac))

    assert mine == other


def test_the_status_is_one_page_or_one_object(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    command("user", "add", "romeo@localhost", "--password", "x")
    capsys.readouterr()
    command("status", "--json")
    as_json = json.loads(capsys.readouterr().out)
    status = command("status")

    assert 0 == status
    assert {"accounts         1", "messages         0 waiting", "dead letters     0"} < set(
        capsys.readouterr().out.splitlines()
    )
    assert (1, {"live": 0, "sleeping": 0}, []) == (as_json["accounts"], as_json["sessions"], as_json["nodes"])


def test_a_status_without_a_server_says_how_to_start_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text(f'[server]\ndata_dir = "{tmp_path}/data"\n')
    status = wakegate_exits("status", "--config", str(tmp_path / "c.toml"))

    assert 1 == status
    assert "start it with `wakegate up`" in capsys.readouterr().err


def test_accounts_made_without_a_running_server_are_there_when_it_runs(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(f'[server]\ndata_dir = "{tmp_path}/data"\n')
    wakegate_exits("user", "add", "romeo@localhost", "--password", "x", "--config", str(tmp_path / "c.toml"))
    server = EmbeddedServer(tmp_path / "data")
    server.start()
    found = credentials_of(tmp_path / "c.toml", "romeo@localhost")
    server.stop()

    assert verify("x", found)


def test_a_check_of_a_file_prints_every_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text('[server]\ndomain = ["a"]\n[redis]\nurl = 3\n')
    status = wakegate_exits("config", "check", str(tmp_path / "c.toml"))

    assert 1 == status
    assert [
        "server.domain: unknown, did you mean domains?",
        'redis.url: a text in "quotes" is needed, got 3',
    ] == capsys.readouterr().err.splitlines()


def test_a_check_knows_what_cannot_be_connected_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "c.toml").write_text('[redis]\nurl = "redis+cluster://a:1/2"\n')
    status = wakegate_exits("config", "check", str(tmp_path / "c.toml"))

    assert 1 == status
    assert "redis.url: a cluster has only database 0" in capsys.readouterr().err


def test_a_check_finds_files_that_cannot_be_used_wherever_they_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_text(
        f'[tls]\ncertificate = "{tmp_path}/none.pem"\n'
        '[push.apps.chat-ios]\nprovider = "apns"\ntopic = "org.example.chat"\nteam_id = "TEAM123456"\n'
        f'key_id = "KEY1234567"\nkey_file = "{tmp_path}/none.p8"\n'
        f'[push.apps.chat-android]\nprovider = "fcm"\nservice_account_file = "{tmp_path}/none.json"\n'
    )
    status = wakegate_exits("config", "check", str(tmp_path / "c.toml"))

    assert 1 == status
    assert ["tls.certificate", "push.apps.chat-ios.key_file", "push.apps.chat-android.service_account_file"] == [
        line.partition(":")[0] for line in capsys.readouterr().err.splitlines()
    ]


def test_a_check_warns_of_what_has_no_effect_and_calls_it_no_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.toml").write_text('[listen]\nwebsocket = ["127.0.0.1:5280"]\n')
    status = wakegate_exits("config", "check", str(tmp_path / "c.toml"))
    output = capsys.readouterr()

    assert 0 == status
    assert "warning: listen.websocket: not served yet; nothing will listen on 127.0.0.1:5280\n" == output.err
    assert output.out.endswith("no faults found\n")


def test_a_check_finds_what_the_environment_would_spoil_at_a_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "c.toml").touch()
    monkeypatch.setenv("WAKEGATE__REDIS__TIMEOUT_S", "soon")
    status = wakegate_exits("config", "check", str(tmp_path / "c.toml"))

    assert (1, 'redis.timeout_s: a number is needed, got "soon"\n') == (status, capsys.readouterr().err)


def test_up_does_not_announce_what_is_not_served(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[listen]\nwebsocket = ["127.0.0.1:5280"]\n')
    greeting = Plan(read([tmp_path / "c.toml"]), ()).greeting({})

    assert [] == [line for line in greeting if "5280" in line]


def test_a_file_without_a_fault_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wakegate_exits("config", "reference")
    (tmp_path / "c.toml").write_text(capsys.readouterr().out)
    status = wakegate_exits("config", "check", str(tmp_path / "c.toml"))

    assert 0 == status
    assert f"{tmp_path}/c.toml: no faults found\n" == capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ("up",), ("gateway",), ("redis",), ("status",), ("config", "check"), ("config", "reference"), ("user", "add"),
        ("user", "import"), ("user", "delete"), ("user", "list"), ("user", "password"), ("user", "sessions"),
    ],
)  # fmt: skip
def test_every_command_explains_itself_with_an_example(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    status = wakegate_exits(*arguments, "--help")

    assert 0 == status
    assert f"Example: wakegate {' '.join(arguments)}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("fly",), ("user", "fly"), ("up", "--gateways", "0"), ("config", "check")])
def test_wrong_use_is_exit_status_2(arguments: tuple[str, ...]) -> None:
    assert 2 == wakegate_exits(*arguments)


def test_the_help_lists_commands_of_all_packages(capsys: pytest.CaptureFixture[str]) -> None:
    wakegate_exits("--help")
    output = capsys.readouterr().out

    assert [] == [name for name in ("up", "gateway", "user", "sandbox", "push") if f"\n  {name} " not in output]
