"""The code that a run loads: a copy, so that no edit reaches a process that is started again, and so that bugs
can be planted in it.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("gateway", "workers")


@dataclass(frozen=True)
class Edit:
    """In `file`, `old`, which must be there, becomes `new`."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Bug:
    """A mistake that somebody might make."""

    what: str
    edits: tuple[Edit, ...]
    strikes: Mapping[str, object] = field(default_factory=dict)
    """what of the plan brings it out"""


OWNED = "return session_of(p, sid, v, v[12])"

BUGS: Mapping[str, Bug] = {
    "acknowledge-before-commit": Bug(
        "<r/> is answered with what was read, whether or not Redis has it",
        (
            Edit(
                "gateway/session/session.py",
                "        self.arrivals.add(AckRequest(self, self.inbound))\n",
                "        self._pipe.write(b\"<a xmlns='urn:xmpp:sm:3' h='%d'/>\" % counter.wire(self.inbound))\n",
            ),
        ),
        {"victims": ("redis", "gateway"), "pauses": 6, "kills": 24},
    ),
    "no-epoch-check": Bug(
        "whoever once had a session may go on using it, though another connection has it now",
        (
            Edit("gateway/mailbox/lua/10_entry.lua", "if v[12] ~= epoch or v[1]", "if not v[1] or v[1]"),
            Edit("gateway/mailbox/lua/10_entry.lua", "return session_of(p, sid, v, epoch)", OWNED),
            Edit("gateway/mailbox/lua/40_deliver.lua", "if v[1] ~= args[13] or v[2] == ENDING", "if v[2] == ENDING"),
            Edit("gateway/mailbox/lua/30_queue.lua", "if v[1] ~= args[2] or v[2] == ENDING", "if v[2] == ENDING"),
            Edit("gateway/mailbox/lua/60_end.lua", "if not s or s.epoch ~= args[2] then", "if not s then"),
        ),
        {"victims": ("gateway",), "pauses": 50, "kills": 4, "accounts": 120, "messages": 12_000},
    ),
    "former-master-believed": Bug(
        "what a replica has is answered, though the master has been replaced and that replica was not chosen",
        (Edit("gateway/mailbox/fence.py", "            self._known.look(reply)\n", "            assert reply\n"),),
        {"redis": "sentinel", "victims": ("redis",), "pauses": 100, "kills": 4, "accounts": 120, "messages": 6000},
    ),
    "offline-deleted-on-write": Bug(
        "what waited offline is forgotten when the socket takes it, not when the client acknowledges it",
        (
            Edit(
                "gateway/session/cursor.py",
                '            self._write(b"".join(parts))\n',
                '            self._write(b"".join(parts))\n'
                '            if any(b"urn:xmpp:delay" in part for part in parts):\n'
                "                self._mailbox.ack(self.grip, self.sent, self._acknowledged)\n",
            ),
        ),
    ),
}


class CannotPlant(Exception):
    """The code is not as the bug expects it: its edit has to be brought up to date."""


def copy(directory: Path, source: Path = ROOT, bug: str = "") -> Path:
    """A copy of the packages below `directory`, with a bug of BUGS if one is named. Raises CannotPlant."""
    target = directory / "tree"
    shutil.rmtree(target, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(source / package, target / package, ignore=shutil.ignore_patterns("__pycache__"))
    for edit in BUGS[bug].edits if bug else ():
        file = target / edit.file
        text = file.read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise CannotPlant(
                f"{bug}: {edit.file} has {text.count(edit.old)} times what is to be replaced: {edit.old!r}"
            )
        file.write_text(text.replace(edit.old, edit.new), encoding="utf-8")
    return target
