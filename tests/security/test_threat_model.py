"""docs/security.md names tests, settings and files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|gateway|scripts)/[\w/.-]+?\.py)(?:::(\w+))?`", TEXT)))


def test_every_answer_has_a_test_that_is_there() -> None:
    missing = [
        f"{path}::{name}"
        for path, name in NAMED
        if not (ROOT / path).is_file() or (name and f"def {name}(" not in (ROOT / path).read_text(encoding="utf-8"))
    ]

    assert 60 < len(NAMED)
    assert [] == missing


def test_every_threat_has_an_answer_and_something_that_shows_it() -> None:
    rows = [line for line in TEXT.splitlines() if line.startswith("| ") and line.count(" | ") >= 2]
    threats = [[cell.strip() for cell in re.split(r"(?<!\\)\|", row)[1:-1]] for row in rows]
    tables = [cells for cells in threats if len(cells) == 3 and cells[0] != "threat"]

    assert 40 < len(tables)
    assert [] == [cells[0] for cells in tables if not cells[1] or "`tests/" not in cells[2]]


def test_every_test_of_security_is_named() -> None:
    files = {file.relative_to(ROOT).as_posix() for file in (ROOT / "tests/security").glob("test_*.py")}

    assert {"tests/security/test_threat_model.py"} == files - {path for path, _ in NAMED}


def test_the_targets_of_fuzzing_are_listed() -> None:
    corpora = {directory.name for directory in (ROOT / "tests/fuzz/corpora").iterdir()}
    section = TEXT.partition("## Fuzzing")[2].partition("## What stays")[0]

    assert set() == corpora - set(re.findall(r"`(\w+)`", section))
