"""Puts the table of usual mistakes (workers/push/mistakes) into docs/push-troubleshooting.md.

.venv/bin/python scripts/build_troubleshooting.py            shows what is stale; exit status 1 if anything is
.venv/bin/python scripts/build_troubleshooting.py --write
"""

from __future__ import annotations

import difflib
import sys
from pathlib import Path

from workers.push.mistakes import GROUPS, Mistake

PAGE = Path(__file__).parents[1] / "docs" / "push-troubleshooting.md"
BEGIN, END = "<!-- mistakes: made from workers/push/mistakes -->\n", "<!-- end of mistakes -->\n"


def table() -> str:
    """All mistakes, group by group."""
    parts = []
    for title, group in GROUPS.items():
        rows = [f"| {_cell(it.shows)} | {_named(it)} | {_cell(it.remedy)} |\n" for it in group]
        parts.append(f"\n### {title}\n\n| what is seen | what it means | what to do |\n|---|---|---|\n{''.join(rows)}")
    return "".join(parts) + "\n"


def page(text: str) -> str:
    """The page with a fresh table."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def _named(mistake: Mistake) -> str:
    return f'<a id="{mistake.name}"></a>**{_cell(mistake.title)}.** {_cell(mistake.means)}'


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page, or say how it differs."""
    old = PAGE.read_text(encoding="utf-8")
    new = page(old)
    if "--write" in sys.argv[1:]:
        PAGE.write_text(new, encoding="utf-8")
        return 0
    sys.stdout.writelines(difflib.unified_diff(old.splitlines(True), new.splitlines(True), str(PAGE.name), "fresh"))
    return 0 if old == new else 1


if __name__ == "__main__":
    sys.exit(main())
