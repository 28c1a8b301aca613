"""XEP-0441: Message Archive Management Preferences, version 0.2.0. Whose messages an account wants archived."""

from __future__ import annotations

from typing import Any

from gateway.hooks import Feature, Query, Xep
from gateway.mailbox.archives import Archives, Preferences
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import several

DEFAULTS = ("always", "never", "roster")

MOST = 1000
"""JIDs in both lists together"""


def get(query: Query) -> None:
    """Section 2.1: what holds now."""
    _require_own(query)
    query.reply(_write(Archives(query.services.mailbox).preferences(str(query.asker.bare))))


def set_(query: Query) -> None:
    """Section 2.1: replace everything; the answer is what holds now."""
    _require_own(query)
    wanted = _read(next(iter(query.iq.payload().values()))[f"{ns.MAM}|prefs"])
    query.reply(_write(Archives(query.services.mailbox).set_preferences(str(query.asker.bare), wanted)))


def _require_own(query: Query) -> None:
    if not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)


def _read(prefs: Any) -> Preferences:
    default = prefs.get("@default") if isinstance(prefs, dict) else None
    if default not in DEFAULTS:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the attribute default is one of {', '.join(DEFAULTS)}")
    # A JID in both lists is not archived: what is not kept can do no harm.
    listed = {jid: name for name in ("always", "never") for jid in _listed(prefs, name)}
    if len(listed) > MOST:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"at most {MOST} JIDs")
    return Preferences(default, listed)


def _listed(prefs: dict[str, Any], name: str) -> list[str]:
    lists = several(prefs, f"{ns.MAM}|{name}")
    if len(lists) > 1:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"there is one list {name}")
    found = []
    for item in lists:
        for text in several(item, f"{ns.MAM}|jid"):
            jid = text.get("#text") if isinstance(text, dict) else text
            try:
                found.append(str(JID.parse((jid or "").strip())))
            except JIDError as error:
                raise StanzaError(StanzaCondition.JID_MALFORMED, f"in the list {name}: {error}") from error
    return found


def _write(preferences: Preferences) -> bytes:
    lists = ""
    for name in ("always", "never"):
        jids = [f"<jid>{escape(jid)}</jid>" for jid, said in preferences.listed.items() if said == name]
        lists += f"<{name}>{''.join(jids)}</{name}>"
    return f"<prefs xmlns='{ns.MAM}' default='{escape(preferences.default)}'>{lists}</prefs>".encode()


FEATURE = Feature(
    name="mam-preferences",
    xep=Xep(441, "0.2.0"),
    requires=("mam",),
    iq_get={(ns.MAM, "prefs"): get},
    iq_set={(ns.MAM, "prefs"): set_},
)
