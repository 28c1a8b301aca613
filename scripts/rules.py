"""Rules that no linter knows: sizes of files, where keys are spelt. Exit status 1 if one is broken."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

LONGEST = 400
"""Lines of a file; style.md: 100 to 150 is the aim."""

LONGER: dict[str, str] = {}
"""File -> why it may be longer."""

SPELLS_KEYS = re.compile(r"""["'`](?:wg:|\{b\d)""")
MAY_SPELL_KEYS = ("gateway/mailbox/keys.py", "gateway/mailbox/lua/")

ROOTS = ("gateway", "workers")


def faults() -> Iterator[str]:
    """One line for each place where a rule is broken."""
    for path in sorted(file for root in ROOTS for file in Path(root).rglob("*") if file.suffix in (".py", ".lua")):
        name = path.as_posix()
        lines = path.read_text(encoding="utf-8").splitlines()
        if len(lines) > LONGEST and name not in LONGER:
            yield f"{name}: {len(lines)} lines, {LONGEST} at most: split it, or give a reason in scripts/rules.py"
        if not name.startswith(MAY_SPELL_KEYS):
            for number, line in enumerate(lines, 1):
                if SPELLS_KEYS.search(line):
                    yield f"{name}:{number}: a key is spelt outside gateway/mailbox/keys.py"


def main() -> int:
    """Print what is broken."""
    found = list(faults())
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
