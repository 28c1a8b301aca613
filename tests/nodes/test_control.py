"""`wakegate restart` and `wakegate reload` reach the `wakegate up` that runs, and hear how it went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.cli.control import Control, ControlError, ask
from gateway.supervisor.supervise import RestartFailedError


def restart(say: Callable[[str], None]) -> None:
    say("gateway.1 restarted")
    say("gateway.2 restarted")


def fail(_say: Callable[[str], None]) -> None:
    raise RestartFailedError("gateway.1 ended with status 1")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    control = Control(tmp_path / "run" / "up.sock", {"restart": restart, "fail": fail})
    control.start()
    yield tmp_path / "run" / "up.sock"
    control.stop()


def test_a_command_hears_each_line_until_all_is_done(path: Path) -> None:
    said: list[str] = []
    ask(path, "restart", said.append)

    assert ["gateway.1 restarted", "gateway.2 restarted"] == said


@pytest.mark.parametrize(
    ("command", "why"),
    [("fail", "gateway.1 ended with status 1"), ("nonsense", "nobody here knows what 'nonsense' is")],
)
def test_what_fails_is_an_error_that_says_why(path: Path, command: str, why: str) -> None:
    with pytest.raises(ControlError, match=why):
        ask(path, command, lambda _: None)


def test_only_its_own_user_may_command_it(path: Path) -> None:
    assert (0o600, 0o700) == (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777)


def test_without_one_that_runs_the_command_says_so(tmp_path: Path) -> None:
    with pytest.raises(ControlError, match="no `wakegate up` runs"):
        ask(tmp_path / "up.sock", "restart", lambda _: None)


def test_what_a_killed_one_left_is_replaced_and_that_of_a_living_one_stays(path: Path) -> None:
    second = Control(path, {"restart": fail})
    second.start()
    second.stop()
    said: list[str] = []
    ask(path, "restart", said.append)
    assert 2 == len(said)

    left = path.with_name("left.sock")
    left.touch()
    third = Control(left, {"restart": restart})
    third.start()
    ask(left, "restart", said.append)
    third.stop()

    assert (4, False) == (len(said), left.exists())
