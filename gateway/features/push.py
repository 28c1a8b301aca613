"""XEP-0357: Push Notifications, version 0.4.1: registrations, and which messages are worth waking a phone for.

The push service is this server's own, `push.<domain>`: a client registers the token it has from APNs or FCM in the
publish-options. When
a device is to be woken the mailbox knows (its Lua library raises events), and the push worker sends.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from gateway.hooks import DiscoInfo, DiscoItems, Feature, On, Query, StanzaTraits, Xep
from gateway.mailbox.errors import StoreError
from gateway.mailbox.pushes import Registration
from gateway.xmpp import forms, ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError

HOST = "push"

LONGEST = 4096
"""characters of a node or a token; the longest real ones are a few hundred"""

ENVIRONMENTS = ("", "production", "sandbox", "auto")
CONTENTS = ("", "none", "sender", "body")
NOT_YET = ("encrypted",)
"""content modes that clients know of and that nothing here can make yet"""

APNS = "apns"
APNS_TOKEN = re.compile(r"(?:[0-9a-f]{2}){4,200}", re.IGNORECASE)
"""A device token as apps send it: 4 to 200 bytes in hexadecimal digits. Apple says only that the length may change."""

COPIES = ("sent", "received")
"""of a copy; `<private/>` of the same namespace is in messages (XEP-0280 section 9)"""

ENCRYPTED = frozenset({*ns.OMEMO, ns.OPENPGP, ns.PGP_LEGACY})


def traits(event: StanzaTraits) -> None:
    """Important is a body, an encrypted payload or a call proposal; never an own carbon, a chat state, a receipt or a
    marker.
    """
    stanza = event.stanza
    if stanza.attrs.get("type") in ("error", "headline") or any(stanza.has(ns.CARBONS, way) for way in COPIES):
        return
    if stanza.has(ns.CALLS, "propose"):
        event.wakes = event.urgent = True
        return
    event.wakes = stanza.has(ns.CLIENT, "body") or any(child[0] in ENCRYPTED for child in stanza.children)


def _request(query: Query, name: str) -> dict[str, Any]:
    payload = next(iter(query.iq.payload().values()))[f"{ns.PUSH}|{name}"]
    if not isinstance(payload, dict) or not payload.get("@jid"):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the attribute jid names the push service")
    return payload


def _service(query: Query, payload: dict[str, Any]) -> JID:
    try:
        return JID.parse(payload["@jid"])
    except JIDError as error:
        raise StanzaError(StanzaCondition.JID_MALFORMED, str(error)) from error


def _own(query: Query, service: JID) -> bool:
    return str(service) == f"{HOST}.{query.session.jid.domain}"


def _short(text: str, what: str) -> str:
    if len(text) > LONGEST:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"{what} is longer than {LONGEST} characters")
    return text


def _one_of(fields: dict[str, str], name: str, known: tuple[str, ...]) -> str:
    value = fields.get(name, "")
    if value not in known:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the field {name} is one of {', '.join(known[1:])}")
    return value


def _content(fields: dict[str, str]) -> str:
    if fields.get("content") in NOT_YET:
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE,
            f"content {fields['content']} is not available yet; what is: {', '.join(CONTENTS[1:])}",
        )
    return _one_of(fields, "content", CONTENTS)


def _token(fields: dict[str, str], provider: str) -> str:
    """A token that can work: else every push for this device would fail, and the client would never learn of it."""
    token = _short(fields.get("token", ""), "the token")
    if not token:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the field token is empty")
    if provider == APNS and not APNS_TOKEN.fullmatch(token):
        raise StanzaError(
            StanzaCondition.NOT_ACCEPTABLE, "the token is not one of APNs: 4 to 200 bytes in hexadecimal digits"
        )
    return token


def _options(payload: dict[str, Any]) -> dict[str, str]:
    """The fields of the publish-options form (XEP-0357 section 5)."""
    form = forms.read(payload.get(f"{ns.DATA_FORMS}|x"))
    fields = {name: values[0] for name, values in form.fields.items() if values}
    if fields.get("FORM_TYPE") != ns.PUBSUB_PUBLISH_OPTIONS:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the form's FORM_TYPE is {ns.PUBSUB_PUBLISH_OPTIONS}")
    return fields


def enable(query: Query) -> None:
    """XEP-0357 section 5: keep a registration; the same JID and node again replaces it."""
    payload = _request(query, "enable")
    service = _service(query, payload)
    if not _own(query, service):
        raise StanzaError(
            StanzaCondition.FEATURE_NOT_IMPLEMENTED, f"only {HOST}.{query.session.jid.domain} delivers pushes here"
        )
    fields = _options(payload)
    app = fields.get("app", "")
    push = query.services.settings["push"]
    if app not in push.apps:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "this server knows no such app")
    session = query.session
    registration = Registration(
        service=str(service),
        node=_short(payload.get("@node", ""), "the node"),
        sid=session.grip.sid,
        resource=session.jid.resource,
        app=app,
        token=_token(fields, push.apps[app].provider),
        environment=_one_of(fields, "environment", ENVIRONMENTS),
        content=_content(fields),
    )
    query.services.mailbox.register(
        session.grip,
        user=str(session.jid.bare),
        field=registration.field,
        registration=msgspec.json.encode(registration),
        most=push.max_devices,
        done=_answer(query),
    )


def disable(query: Query) -> None:
    """XEP-0357 section 6: forget one registration of a service, or without a node all of them."""
    payload = _request(query, "disable")
    service = _service(query, payload)
    query.services.mailbox.unregister(
        user=str(query.session.jid.bare), service=str(service), node=payload.get("@node", ""), done=_answer(query)
    )


def _answer(query: Query) -> Any:
    def done(reply: Any) -> None:
        if isinstance(reply, StoreError):
            query.fail(reply)
        else:
            query.reply(b"")

    return done


def describe_host(event: DiscoInfo) -> None:
    """XEP-0357 section 3: the push service's identity."""
    if event.is_host and event.to.domain.startswith(f"{HOST}."):
        event.identities.append(("pubsub", "push", "Wakegate push service"))
        event.features.add(ns.PUSH)


def list_host(event: DiscoItems) -> None:
    """Clients find the push service among the server's items."""
    if not event.node and not event.to.local and not event.to.domain.startswith(f"{HOST}."):
        event.items.append((f"{HOST}.{event.to.domain}", "Push service", ""))


FEATURE = Feature(
    name="push",
    xep=Xep(357, "0.4.1"),
    account_disco=(ns.PUSH,),
    iq_set={(ns.PUSH, "enable"): enable, (ns.PUSH, "disable"): disable},
    hooks=(On(StanzaTraits, traits), On(DiscoInfo, describe_host), On(DiscoItems, list_host)),
    hosts=(HOST,),
)
