"""XEP-0479: XMPP Compliance Suites 2023, version 0.1.0: what it wants of a server for Core, IM and Mobile."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Wanted:
    """A row of the suite. `providers` are the XEPs, and RFCs, that have to be there, all of them."""

    category: str
    feature: str
    xeps: tuple[int, ...] = ()
    rfcs: tuple[int, ...] = ()
    advanced: bool = False
    """wanted of an advanced server only"""

    @property
    def providers(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"RFC {number}" for number in self.rfcs) + tuple(f"XEP-{number:04}" for number in self.xeps)


SUITE: Final = (
    Wanted("Core", "Core features", rfcs=(6120,)),
    Wanted("Core", "TLS", rfcs=(7590,)),
    Wanted("Core", "Direct TLS", (368,), advanced=True),
    Wanted("Core", "Feature discovery", (30,)),
    Wanted("Core", "Feature broadcasts", (115,), advanced=True),
    Wanted("Core", "Server extensibility", (114,)),
    Wanted("Core", "Event publishing", (163,), advanced=True),
    Wanted("IM", "Core features", rfcs=(6121,)),
    Wanted("IM", "User avatar compatibility", (153, 398), advanced=True),
    Wanted("IM", "vcard-temp", (54,)),
    Wanted("IM", "Outbound message synchronization", (280,)),
    Wanted("IM", "User blocking", (191,), advanced=True),
    Wanted("IM", "Group chat", (45, 249)),
    Wanted("IM", "Advanced group chat", (48, 313, 402, 410), advanced=True),
    Wanted("IM", "Persistent storage of private data via pubsub", (223,), advanced=True),
    Wanted("IM", "Private XML storage", (49,), advanced=True),
    Wanted("IM", "Stream management", (198,), advanced=True),
    Wanted("IM", "History storage and retrieval", (313,), advanced=True),
    Wanted("IM", "File upload", (363,)),
    Wanted("Mobile", "Stream management", (198,)),
    Wanted("Mobile", "Client state indication", (352,)),
    Wanted("Mobile", "Third party push notifications", (357,), advanced=True),
)

HEAD: Final = """\
## XEP-0479 compliance

What [XEP-0479](https://xmpp.org/extensions/xep-0479.html) (XMPP Compliance Suites 2023, version 0.1.0) wants of a
server, and what of it is declared above. Core is wanted of every server, Advanced of an advanced one.

| category | feature | level | providers | there? |
|---|---|---|---|---|"""


def lines(xeps: Collection[int], rfcs: Collection[int]) -> Iterator[str]:
    """The section, with yes and no computed from the XEPs and RFCs that are declared."""
    yield HEAD
    for row in SUITE:
        there = {f"XEP-{number:04}" for number in xeps} | {f"RFC {number}" for number in rfcs}
        missing = [provider for provider in row.providers if provider not in there]
        answer = "yes" if not missing else "no" if len(row.providers) == 1 else f"no: {', '.join(missing)}"
        level = "Advanced" if row.advanced else "Core"
        yield f"| {row.category} | {row.feature} | {level} | {', '.join(row.providers)} | {answer} |"
