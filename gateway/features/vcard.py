"""XEP-0054: vcard-temp, version 1.3. One vCard per account, kept as it came; everybody on the server may read it, but
who is blocked.
"""

from __future__ import annotations

from gateway.hooks import CardChanged, CardChanging, Feature, Query, Xep
from gateway.mailbox.vault import NO_PHOTO, StorageSettings, Vault
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.inner import inner, moved, payload
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.vcard import EMPTY, photo


def get(query: Query) -> None:
    """XEP-0054 section 3.1: an empty card if there is none. Section 3.3: of somebody else's, whether there is no card
    or no account cannot be told.
    """
    card = Vault(query.services.mailbox).card(user=str(query.to), asker=str(query.asker)) if query.to.local else b""
    if not card and not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    query.reply(card or EMPTY)


def keep(query: Query) -> None:
    """XEP-0054 section 3.2: the whole card anew; nobody changes another's."""
    if not query.is_own:
        raise StanzaError(StanzaCondition.FORBIDDEN)
    limits = query.services.settings.of(StorageSettings)
    too_large = StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, f"a vCard of more than {limits.vcard_bytes} bytes")
    try:
        given = payload(query.iq)
        inner(given)  # a vCard is made of elements alone
        card = moved(given, default=ns.CLIENT, into="")
        if len(card) > limits.vcard_bytes:
            raise too_large
        shown = photo(card)
    except NotAnElement as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, str(error)) from error
    vault, user = Vault(query.services.mailbox), str(query.to)
    former, hashed = vault.photo(user), shown.id.encode() if shown is not None else NO_PHOTO
    # Others first: should this process die in between, the client sends the card again and all is done anew.
    was = "" if former == NO_PHOTO else former.decode()
    query.services.features.fire(CardChanging(query.to, query.services, shown, was))
    if not vault.keep_card(user, card, hashed, limits):
        raise too_large
    query.services.features.fire(CardChanged(query.to, query.services))
    query.reply(b"")


FEATURE = Feature(
    name="vcard",
    xep=Xep(54, "1.3.0"),
    disco=(ns.VCARD,),
    account_disco=(ns.VCARD,),
    iq_get={(ns.VCARD, "vCard"): get},
    iq_set={(ns.VCARD, "vCard"): keep},
    open=frozenset({("get", ns.VCARD, "vCard"), ("set", ns.VCARD, "vCard")}),
)
