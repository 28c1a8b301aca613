"""Presence and subscriptions that a gateway began to tell and did not finish, and sessions that fade from sight while
they sleep (RFC 6121).
"""

from __future__ import annotations

from gateway.mailbox import keys
from gateway.mailbox.errors import StoreCorrupt
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Placed
from gateway.mailbox.nodes import Sweep
from gateway.mailbox.notices import publish_entries
from gateway.mailbox.presences import Presences, wait_for
from gateway.mailbox.subscriptions import Subscriptions
from gateway.mailbox.visibility import Visibility
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.delay import stamp
from gateway.xmpp.inner import default_inside, inner, moved
from gateway.xmpp.stanza import NotAnElement, peek
from gateway.xmpp.start_tag import write_attributes

log = get_logger(__name__)

GONE = b"unavailable"

_SAID_ANEW = frozenset({(ns.CLIENT, "show"), (ns.IDLE, "idle")})


def away(presence: bytes, since_ms: int) -> bytes:
    """What others see of a session that has been asleep since then: all it said, but away (RFC 6121 section 4.7.2.1)
    and idle (XEP-0319). Of what cannot be read, `unavailable`.
    """
    try:
        element = peek(presence)
        default = default_inside(element)
        kept = [
            moved(child, default=default, into=ns.CLIENT)
            for child in inner(element)
            if (child.ns, child.name) not in _SAID_ANEW
        ]
    except NotAnElement:
        return GONE
    said = b"<show>away</show>" + b"".join(kept) + f"<idle xmlns='{ns.IDLE}' since='{stamp(since_ms)}'/>".encode()
    return b"<presence%b>%b</presence>" % (write_attributes(element.attrs), said)


class Broadcasts:
    """Works off outbox entries `presence`, `subscription`, `visibility`. All of it may run twice. Raises StoreError."""

    def __init__(self, mailbox: Mailbox, sweep: Sweep) -> None:
        self._sweep = sweep
        self._journal = mailbox.journal
        self._presences = Presences(mailbox, self._announce)
        self._subscriptions = Subscriptions(mailbox, self._announce)
        self._visibility = Visibility(mailbox, self._announce)

    def _announce(self, placed: tuple[Placed, ...], stanza: bytes) -> None:
        publish_entries(self._journal, placed, stanza)

    def carry(self, bucket: int, name: str, fields: dict[str, bytes]) -> None:
        """Work off one entry, if it is of these kinds; then it has left the outbox."""
        try:
            self._carry(keys.bucket_prefix(bucket), name, fields)
        except StoreCorrupt as error:  # one account's broken data must not keep others from their turn
            log.error("broadcast_given_up", entry=name, error=str(error))
            self._sweep.posted(bucket, name)

    def _carry(self, at: str, name: str, fields: dict[str, bytes]) -> None:
        if fields["do"] == b"presence":
            wait_for(self._presences.carry(at, name, fields))
        elif fields["do"] == b"visibility":
            wait_for(self._visibility.carry(at, name, fields))
        elif fields["do"] == b"subscription":
            user, contact, type_ = (fields[key].decode() for key in ("user", "contact", "type"))
            self._subscriptions.carry(at, name, user=user, contact=contact, type_=type_, stanza=fields["stanza"])

    def fade(self, bucket: int, sid: str) -> None:
        """A session has slept for long enough: others see it as away, or as unavailable, until it is back."""
        asleep = self._sweep.fade(bucket, sid)
        if asleep is None:
            return
        seen = GONE if asleep.fades_to == "unavailable" else away(asleep.presence, asleep.since_ms)
        if self._sweep.faded(bucket, sid, asleep.epoch, seen):
            log.info("session_faded", session=sid, to=asleep.fades_to)
