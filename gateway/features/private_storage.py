"""XEP-0049: Private XML Storage, version 1.2. Elements of any namespace that is not reserved; they come back byte for
byte, to their owner alone.
"""

from __future__ import annotations

from gateway.hooks import Feature, PrivateXml, Query, Xep
from gateway.mailbox.vault import StorageSettings, Vault
from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.inner import default_inside, inner, moved, payload
from gateway.xmpp.payload import NotAnElement

RESERVED = ("jabber:", "http://jabber.org/", ns.VCARD)
"""how namespaces begin that private XML must not use (XEP-0049 section 3)"""


def _elements(query: Query) -> tuple[Element, list[Element]]:
    """The `<query/>` and what it holds."""
    if not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    try:
        around = payload(query.iq)
        elements = inner(around)
    except NotAnElement as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, str(error)) from error
    for element in elements:
        if not element.ns or element.ns.startswith(RESERVED):
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "an element of a namespace of its own is needed")
    return around, elements


def _name(element: Element) -> str:
    return f"{{{element.ns}}}{element.name}"


def _told(query: Query, element: Element, content: bytes, *, is_kept: bool) -> bytes:
    """What other features make of it."""
    event = PrivateXml(
        owner=query.to,
        services=query.services,
        session=query.session,
        name=(element.ns, element.name),
        is_kept=is_kept,
        content=content,
    )
    return query.services.features.fire(event).content


def get(query: Query) -> None:
    """XEP-0049 section 3: one element by its name and namespace; an empty one when nothing is kept."""
    _, elements = _elements(query)
    if len(elements) != 1:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "ask for one element at a time")
    (element,) = elements
    (kept,) = Vault(query.services.mailbox).private(str(query.to), [_name(element)])
    shown = _told(query, element, kept, is_kept=False)
    answer = shown or f"<{element.name} xmlns='{escape(element.ns)}'/>".encode()
    query.reply(b"<query xmlns='%b'>%b</query>" % (ns.PRIVATE.encode(), answer))


def keep(query: Query) -> None:
    """XEP-0049 section 3. Elements of one name are kept together. An empty one takes away what was kept under its name:
    the answer to whoever asks is the same, and it gives the room back.
    """
    around, elements = _elements(query)
    if not elements:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "there is no element to be kept")
    default = default_inside(around)
    kept: dict[str, bytes] = {}
    for element in elements:
        is_empty = not element.inner and not element.attrs
        written = b"" if is_empty else moved(element, default=default, into=ns.PRIVATE)
        kept[_name(element)] = kept.get(_name(element), b"") + written
    for element in {_name(element): element for element in elements}.values():
        kept[_name(element)] = _told(query, element, kept[_name(element)], is_kept=True)
    limits = query.services.settings.of(StorageSettings)
    if not Vault(query.services.mailbox).keep_private(str(query.to), kept, limits):
        raise StanzaError(
            StanzaCondition.RESOURCE_CONSTRAINT,
            f"more than {limits.private_xml_entries} elements or {limits.private_xml_bytes} bytes",
        )
    query.reply(b"")


FEATURE = Feature(
    name="private-storage",
    xep=Xep(49, "1.2.0"),
    disco=(ns.PRIVATE,),
    account_disco=(ns.PRIVATE,),
    iq_get={(ns.PRIVATE, "query"): get},
    iq_set={(ns.PRIVATE, "query"): keep},
)
