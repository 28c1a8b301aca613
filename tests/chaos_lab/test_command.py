"""`scripts/chaos check`: what it prints, and its status."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.chaos_lab import history as told
from scripts.chaos_lab.command import main
from tests.chaos_lab.stories import Story


def checked(directory: Path, story: Story, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Exit status and output."""
    told.write(directory / "history", story.events)
    status = main(["check", str(directory / "history")])
    return status, capsys.readouterr().out


def test_a_history_that_keeps_every_rule_gives_status_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story().says(1).taken(1).gets(2, 1).shown(1, 1).shown(2, 1).counted(accepted=1, acked=1)
    status, output = checked(tmp_path, story, capsys)

    assert 0 == status
    assert "Every rule was kept." in output
    assert "     0 lost\n     0 missing\n     0 doubled\n     0 disorder\n" in output


def test_a_breach_gives_status_1_its_story_and_the_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = Story().says(1).taken(1).gets(2, 1, 1).shown(1, 1).shown(2, 1).counted(accepted=1, acked=1)
    status, output = checked(tmp_path, story, capsys)

    assert 1 == status
    assert "     1 doubled\n" in output
    assert "doubled: message 1, device 2 (user2@localhost/d2, steady)" in output
    assert "1 breaches (seed 7)" in output


def test_a_history_without_an_end_is_not_taken_for_a_good_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, output = checked(tmp_path, Story(), capsys)

    assert 1 == status
    assert "was broken off" in output
