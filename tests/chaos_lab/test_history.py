"""The file of a run: written, read again, and told to a reader."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.chaos_lab import history as told
from scripts.chaos_lab.ledger import Ledger
from scripts.chaos_lab.report import figures, story
from tests.chaos_lab.stories import Story


def test_what_was_written_is_read(tmp_path: Path) -> None:
    tale = Story().says(1).taken(1).gets(2, 1).cut(2).resumes(2).struck("kill", "gateway.1").counted(accepted=1)
    told.write(tmp_path / "history", tale.events)

    assert tale.events == list(told.read(tmp_path / "history"))


def test_a_line_that_was_cut_off_is_passed_over_and_another_wrong_one_is_named(tmp_path: Path) -> None:
    file = tmp_path / "history"
    told.write(file, Story().events)
    with file.open("ab") as more:
        more.write(b'["sent",1.0,')
    events = list(told.read(file))
    with file.open("ab") as more:
        more.write(b"\n")

    assert Story().events == events
    with pytest.raises(ValueError, match=f"line {len(events) + 1}"):
        list(told.read(file))


def test_the_story_of_a_message_has_its_events_in_order_and_what_happened_around_it(tmp_path: Path) -> None:
    tale = Story().later(60.0).says(1).struck("kill", "gateway.1").taken(1).cut(2).resumes(2).gets(2, 1).gets(2, 1)
    told.write(tmp_path / "history", tale.events)
    lines = list(story(tmp_path / "history", tale.ledger, tale.found[0]))

    assert lines[0].startswith("doubled: message 1, device 2 (user2@localhost/d2, steady) came 2 times")
    assert ["sent", "--", "taken", "cut", "resumed", "received", "received"] == [
        line.replace(">", " ").split()[1] for line in lines[1:]
    ]
    assert "kill gateway.1" in lines[2]


def test_a_history_of_unknown_devices_is_refused() -> None:
    with pytest.raises(ValueError, match="device 9"):
        Ledger.of([told.Sent(1.0, 9, 1, 1, 2)])


def test_the_figures_say_what_was_done() -> None:
    tale = Story().says(1).taken(1).gets(2, 1).struck("kill", "gateway.1").struck("reset", "link")
    lines = "\n".join(figures(tale.ledger))

    assert "1 sent, 1 taken, 1 received" in lines
    assert "1 kills, 2 in all" in lines
