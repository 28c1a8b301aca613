"""The table of fates, as docs/fates.md shows it and test_fates.py tries it, row by row.

.venv/bin/python -m tests.scenarios.fates_table > docs/fates.md
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.xmpp import ns

ORIGIN = f"<origin-id xmlns='{ns.STANZA_ID}' id='o1'/>"
BODY = "<body>hello</body>"


def hint(name: str) -> str:
    """One of XEP-0334."""
    return f"<{name} xmlns='{ns.HINTS}'/>"


@dataclass(frozen=True, slots=True)
class Content:
    """A message by what is in it. `traits` are the flags of `gateway.mailbox.entry` that it has while it waits."""

    name: str
    inner: str
    traits: str
    type: str = "chat"

    @property
    def kind(self) -> str:
        """The column of the table of states that is meant."""
        if self.type in ("headline", "groupchat", "error"):
            return self.type
        return "stored" if "s" in self.traits else "fleeting"


OMEMO = f"<encrypted xmlns='{ns.OMEMO_AXOLOTL}'><header sid='1'/></encrypted><body>cannot be shown</body>"
PROPOSE = f"<propose xmlns='{ns.CALLS}' id='c1'/>"

CONTENTS = (
    Content("body", BODY, "swbca"),
    Content("body, type normal", BODY, "swbca", "normal"),
    Content("body, type headline", BODY, "b", "headline"),
    Content("body, type groupchat", BODY, "wb", "groupchat"),
    Content("error", f"{BODY}<error type='cancel'/>", "c", "error"),
    Content("encrypted", OMEMO, "swbca"),
    Content("correction", f"{BODY}<replace xmlns='{ns.CORRECTION}' id='m0'/>", "swbca"),
    Content("reaction alone", f"<reactions xmlns='{ns.REACTIONS}' id='m0'/>", "sbca"),
    Content("retraction alone", f"<retract xmlns='{ns.RETRACTION}' id='m0'/>", "sbca"),
    Content("subject alone", "<subject>plans</subject>", "sbca"),
    Content("chat state alone", f"<composing xmlns='{ns.CHATSTATES}'/>", "ch"),
    Content("chat state with an origin id", f"<composing xmlns='{ns.CHATSTATES}'/>{ORIGIN}", "ch"),
    Content("receipt alone", f"<received xmlns='{ns.RECEIPTS}' id='m0'/>", "scah"),
    Content("marker alone", f"<displayed xmlns='{ns.MARKERS}' id='m0'/>", "scah"),
    Content("call proposal", PROPOSE, "swubc"),
    Content("call proposal, store", PROPOSE + hint("store"), "swubca"),
    Content("call ended", f"<retract xmlns='{ns.CALLS}' id='c1'/>", "sbc"),
    Content("anything else", "<x xmlns='urn:example:unknown'/>", "sbc"),
    Content("nothing", "", "bch"),
    Content("body, no-store", BODY + hint("no-store"), "wbc"),
    Content("body, no-permanent-store", BODY + hint("no-permanent-store"), "swbc"),
    Content("body, no-copy", BODY + hint("no-copy"), "swba"),
    Content("body, private (XEP-0280)", f"{BODY}<private xmlns='{ns.CARBONS}'/>", "swba"),
    Content("chat state, store", f"<active xmlns='{ns.CHATSTATES}'/>" + hint("store"), "scah"),
)

QUEUE, BOTH, BEHIND, OFFLINE, NOWHERE, REFUSED = "queue", "queues", "behind", "offline", "nowhere", "refused"


@dataclass(frozen=True, slots=True)
class State:
    """What becomes of a message when its recipient is like that. `places`: of stored, fleeting, headline, groupchat,
    error. `push`: what wakes raises a push event. `copies`: the other device has carbons and gets what is copied.
    `always`: the sender is told of whatever was refused, but an error.
    """

    name: str
    to: str
    places: tuple[str, str, str, str, str]
    push: bool = False
    copies: bool = False
    condition: str = "service-unavailable"
    always: bool = False

    def tells(self, content: Content) -> bool:
        """The sender gets the error if this is refused."""
        return content.type != "error" if self.always else "b" in content.traits

    def place(self, content: Content) -> str:
        """Where this message goes."""
        return self.places[("stored", "fleeting", "headline", "groupchat", "error").index(content.kind)]


LIVE = (QUEUE, QUEUE, QUEUE, REFUSED, NOWHERE)
ALL = (QUEUE,) * 5
NONE = (REFUSED,) * 5

STATES = (
    State("one device, which reads", "bare", LIVE),
    State("one device, whose link is frozen", "bare", LIVE, push=True),
    State("one device, inactive (XEP-0352)", "bare", LIVE),
    State("one device, asleep", "bare", LIVE, push=True),
    State("one device asleep, another there", "bare", (BOTH, BOTH, BOTH, REFUSED, NOWHERE), push=True),
    State("that device, another with carbons", "full", ALL, copies=True),
    State("that device asleep, another with carbons", "full", ALL, push=True, copies=True),
    State("that device is gone, another there", "full", (QUEUE, QUEUE, NOWHERE, REFUSED, NOWHERE)),
    State("a device of negative priority alone", "bare", (OFFLINE, NOWHERE, NOWHERE, REFUSED, NOWHERE)),
    State("nobody there", "bare", (OFFLINE, NOWHERE, NOWHERE, REFUSED, NOWHERE), push=True),
    State("nobody there, offline store full", "bare", (REFUSED, NOWHERE, NOWHERE, REFUSED, NOWHERE)),
    State("one device, whose queue is full", "bare", (BEHIND, NOWHERE, NOWHERE, REFUSED, NOWHERE)),
    State("one device, queue and offline store full", "bare", (REFUSED, NOWHERE, NOWHERE, REFUSED, NOWHERE)),
    State("the recipient blocks the sender", "bare", NONE),
    State("the sender blocks the recipient", "bare", NONE, condition="not-acceptable", always=True),
    State("no such account", "bare", NONE),
)


@dataclass(frozen=True, slots=True)
class End:
    """What becomes of what a session left. `fates`: of what waits and is archived, waits and may be returned, waits and
    may not be returned, does not wait.
    """

    resend: str
    others: bool
    fates: tuple[str, str, str, str]

    def fate(self, content: Content) -> str:
        """The fate of this message."""
        if "s" not in content.traits:
            return self.fates[3]
        if "a" in content.traits:
            return self.fates[0]
        return self.fates[1 if "b" in content.traits else 2]


ARCHIVED, BOUNCED, DROPPED, HANDED = "archived", "bounced", "dropped", "other devices"

ENDS = (
    End("if_offline", False, (OFFLINE, OFFLINE, OFFLINE, DROPPED)),
    End("if_offline", True, (ARCHIVED, BOUNCED, DROPPED, DROPPED)),
    End("true", False, (OFFLINE, OFFLINE, OFFLINE, DROPPED)),
    End("true", True, (ARCHIVED, HANDED, HANDED, HANDED)),
    End("false", False, (ARCHIVED, BOUNCED, DROPPED, DROPPED)),
    End("false", True, (ARCHIVED, BOUNCED, DROPPED, DROPPED)),
)

HEAD = """\
# What becomes of a message

Generated from `tests/scenarios/fates_table.py`, every row of which `tests/scenarios/test_fates.py` tries on a running
server; do not edit.

Every message that the server takes has one fate, and `wakegate status` counts them:

    accepted = acked + archived + bounced + dropped + what still waits

- **acked**: a device acknowledged it (XEP-0198; without that, its socket took it). Of several devices the first
  counts.
- **archived**: it ended without an acknowledgement, but the archive of its recipient is sure to hold it: nothing is
  lost. That is also how a message ends which a client was shown by XEP-0313 before it could be delivered late.
- **bounced**: its sender got it back as an error. The error is a message of its own, and is counted as one.
- **dropped**: it meant nothing later and nobody was there.

What is refused at once was not taken, and is not counted. Carbon copies have no fate: they are no messages of their
own.

## 1. What is in it

Said of each message before it is delivered. *Waits*: it may wait in the offline store. *Archived*: it is kept on
both sides (XEP-0313). *Copied*: to other devices that asked (XEP-0280). *Wakes*: a phone that sleeps gets a push (a
call at once). *Returned*: its sender may get an error. *Held*: a client that is inactive does not see it before
something urgent comes. Hints are those of XEP-0334; type chat unless it says otherwise.

"""

STATES_HEAD = """
## 2. Who is there

*queue*: the device has it, now or as soon as it is back. *queues*: each of the devices. *behind*: it waits for room
in the queue, within the offline quota. *offline*: XEP-0160. *nowhere*: archived if it is one of those that are,
otherwise dropped. *refused*: the sender gets the error, unless it is a message that is never returned (*always*:
whatever it is, but an error). What is taken is archived whatever its place, if it is to be archived at all, and
what is refused is not.

"""

ENDS_HEAD = """
## 3. When a session ends and something was not acknowledged

A session ends when its client closes its stream, or by expiry when nobody resumed it. `resend_on_timeout` decides.
*offline* waits for the next device, and has its fate there; *other devices* likewise. *archived*, *bounced* and
*dropped* are final. A device that takes messages has sent presence of a priority that is not negative.

"""

RULES = """
## 4. Rules that hold for every row

- The steps of one delivery are one atomic step for both sides: block lists, archives, queues or the offline store,
  copies, push event, fate. A crash leaves all of them or none.
- A message sent again after a resumption is known by its session and count: it is taken, archived and copied once.
- Messages of one session keep their order, also through offline store, backlog and hand-over.
- Nothing comes a second time that a client was shown by its query to the archive, whether it waited offline or in a
  session of the same resource that it replaced. What the archive no longer holds comes all the same.
- A device that looked into the archive and has copies on, but sent no presence yet, gets a copy of what came after its
  look and another device takes from the offline store.
- What a device has as a copy from before its presence does not come again from the offline store, when the device that
  had the message left without reading it. A copy that it acknowledged ends the message; one that it has not becomes
  the message. (Not archived and acknowledged, it comes again: nothing names it.)
- A copy is never stored, returned, or copied; it ends with its session.
- An error is answered by nothing, and waits in a living session only.
- Retention (`[archive]`) may take a message out of the archive later; it is then not *archived* when its session
  ends, but what the same row says of a message that is not archived.

## 5. What may still come twice

A client knows a message by the `stanza-id` of its own account (XEP-0359) and drops what it has. It meets:

- what came live while it looked into the archive: copies have to be on before the last look, or what comes in between
  would be in neither;
- the same over a link that broke during the look: the session still has it, and the archive is asked anew;
- what it had, but had not acknowledged when its session ended: only an acknowledgement says that it has something.

A message to a device's full JID comes at once, also before the device has sent presence; an earlier one to the bare
JID may wait offline at that time. Should a client find both, the archive tells their order.
`tests/chaos/test_devices_in_step.py` has a client that does all this, and counts.
"""

TRAITS = (("waits", "s"), ("archived", "a"), ("copied", "c"), ("wakes", "w"), ("returned", "b"), ("held", "h"))


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _error(state: State) -> str:
    if REFUSED not in state.places:
        return "-"
    return f"{state.condition}, always" if state.always else state.condition


def _said(content: Content, flag: str) -> str:
    if flag not in content.traits:
        return "-"
    return "call" if flag == "w" and "u" in content.traits else "yes"


def page() -> str:
    """docs/fates.md."""
    contents = [(one.name, *(_said(one, flag) for _, flag in TRAITS)) for one in CONTENTS]
    states = [(one.name, one.to, *one.places, "yes" if one.push else "-", _error(one)) for one in STATES]
    ends = [(one.resend, "yes" if one.others else "no", *one.fates) for one in ENDS]
    kinds = ("waits", "chat or normal that does not wait", "headline", "groupchat", "error")
    return (
        HEAD
        + _table(("content", *(name for name, _ in TRAITS)), contents)
        + STATES_HEAD
        + _table(("recipient", "to its JID", *kinds, "push for what wakes", "error"), states)
        + ENDS_HEAD
        + _table(
            (
                "resend_on_timeout", "another device takes messages", "waits, archived", "waits, returned",
                "waits, not returned", "does not wait",
            ),
            ends,
        )
        + RULES
    )  # fmt: skip


if __name__ == "__main__":
    print(page(), end="")
