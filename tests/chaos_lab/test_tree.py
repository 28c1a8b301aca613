"""The bugs that scripts/chaos plants can be planted in the code as it is today."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest

from gateway.mailbox.library import source
from scripts.chaos_lab import tree
from scripts.chaos_lab.nemesis import schedule
from scripts.chaos_lab.plan import Plan


@pytest.mark.parametrize("bug", tree.BUGS)
def test_a_bug_is_planted_in_a_copy_alone(tmp_path: Path, bug: str) -> None:
    copied = tree.copy(tmp_path, bug=bug)
    for edit in tree.BUGS[bug].edits:
        planted = (copied / edit.file).read_text()
        if edit.file.endswith(".py"):
            ast.parse(planted)

        assert edit.new in planted
        assert edit.old in (tree.ROOT / edit.file).read_text()


def test_a_bug_that_does_not_fit_the_code_any_more_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tree.Bug("never", (tree.Edit("gateway/errors.py", "what is not there", ""),))
    monkeypatch.setattr(tree, "BUGS", {"wrong": wrong})

    with pytest.raises(tree.CannotPlant, match="0 times"):
        tree.copy(tmp_path, bug="wrong")


def test_a_copy_without_a_bug_is_the_code(tmp_path: Path) -> None:
    copied = tree.copy(tmp_path)
    lua = sorted((copied / "gateway/mailbox/lua").iterdir())

    assert "".join(file.read_text() for file in lua)[:1000] in source()


def test_a_seed_gives_the_same_blows_again_and_as_many_kills_as_were_asked_for() -> None:
    plan = Plan(Path(), kills=40, minutes=1.0, victims=("gateway", "redis"))
    first, again = (schedule(plan, random.Random(3)) for _ in range(2))

    assert first == again
    assert 40 == sum(strike.way != "pause" for strike in first)
    assert {"gateway", "redis"} == {strike.victim for strike in first}
    assert sorted(strike.after_s for strike in first) == [strike.after_s for strike in first]


def test_a_plan_says_how_to_repeat_it() -> None:
    assert "scripts/chaos run --redis single" in Plan(Path()).command
    assert "--seed 99" in Plan(Path(), seed=99).command
    assert "scripts/chaos plant no-epoch-check" in Plan(Path(), bug="no-epoch-check").command
