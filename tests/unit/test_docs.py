"""Documents that follow the code, and links between documents."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("gateway/*.md")])


def test_the_list_of_standards_is_what_the_code_declares() -> None:
    made = subprocess.run(
        [sys.executable, "scripts/build_xeps.py"], capture_output=True, text=True, cwd=ROOT, check=True, timeout=60
    )

    assert made.stdout == (ROOT / "docs" / "supported-xeps.md").read_text(encoding="utf-8"), (
        "made anew by: .venv/bin/python scripts/build_xeps.py > docs/supported-xeps.md"
    )


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_to_files_lead_somewhere(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))

    assert [] == [link for link in links if not (document.parent / link).exists()]


def test_the_glossary_and_the_map_name_files_that_exist() -> None:
    named = set()
    for document in (ROOT / "gateway" / "README.md", ROOT / "gateway" / "GLOSSARY.md"):
        named |= set(re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|lua))`", document.read_text(encoding="utf-8")))
    places = [ROOT, ROOT / "gateway", ROOT / "gateway" / "mailbox", ROOT / "tests"]

    assert 20 < len(named)
    assert [] == [name for name in sorted(named) if not any((place / name).exists() for place in places)]
