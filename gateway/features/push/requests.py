"""XEP-0357 sections 5 and 6: registrations come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from gateway.features.push import foreign, own, tigase
from gateway.features.push.asked import read
from gateway.hooks import Query
from gateway.mailbox.errors import StoreError
from gateway.mailbox.pushes import Registration
from gateway.xmpp.errors import StanzaCondition, StanzaError

MOST_BYTES: Final = 65_536
"""of one registration with its filters, as it is kept"""


def enable(query: Query) -> None:
    """Keep a registration; the same JID and node again replaces it."""
    asked, session = read(query, "enable"), query.session
    push = query.services.settings["push"]
    registration = Registration(
        service=str(asked.service),
        node=asked.node,
        sid=session.grip.sid,
        resource=session.jid.resource,
        app="",
        token="",
    )
    if own.is_own(asked):
        registration = own.described(asked, registration, push.apps)
    else:
        registration = foreign.described(asked, registration)
    registration = tigase.described(asked.content, registration)
    kept = msgspec.json.encode(registration)
    if len(kept) > MOST_BYTES:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"a registration has {MOST_BYTES} bytes at most")
    query.services.mailbox.register(
        session.grip,
        user=str(session.jid.bare),
        field=registration.field,
        registration=kept,
        most=push.max_devices,
        done=_answer(query),
    )


def disable(query: Query) -> None:
    """Forget one registration of a service, or without a node all of them."""
    asked = read(query, "disable")
    query.services.mailbox.unregister(
        user=str(query.session.jid.bare), service=str(asked.service), node=asked.node, done=_answer(query)
    )


def _answer(query: Query) -> Callable[[Any], None]:
    def done(reply: Any) -> None:
        if isinstance(reply, StoreError):
            query.fail(reply)
        else:
            query.reply(b"")

    return done
