"""XEP-0077: In-Band Registration, version 2.4. Users change their passwords and remove their accounts; making accounts
(off unless switched on) is part of the negotiation, in `session/registration.py`.
"""

from __future__ import annotations

from typing import Any

from gateway.enrolment import RegistrationSettings, check_password, stored
from gateway.hooks import Feature, Query, Xep
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.administration import Administration
from gateway.telemetry import get_logger
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import several

log = get_logger(__name__)


def _check_addressed(query: Query) -> None:
    """The server is asked, or the own account, which means the same: a subdomain has no accounts."""
    if not query.is_own and str(query.to) != query.asker.domain:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)


def tell(query: Query) -> None:
    """XEP-0077 section 3.1: who asks is registered."""
    _check_addressed(query)
    query.reply(
        f"<query xmlns='{ns.REGISTER}'><registered/><username>{escape(query.asker.local)}</username><password/>"
        "</query>".encode()
    )


def change(query: Query) -> None:
    """XEP-0077 sections 3.2 and 3.3: remove the account, or change its password."""
    _check_addressed(query)
    payload: Any = next(iter(query.iq.payload().values()))[f"{ns.REGISTER}|query"]
    if not isinstance(payload, dict):
        raise StanzaError(StanzaCondition.BAD_REQUEST, "nothing is asked for")
    if f"{ns.REGISTER}|remove" in payload:
        if len([name for name in payload if not name.startswith(("@", "#"))]) > 1 or len(_removes(payload)) > 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "<remove/> stands alone")
        _remove(query)
    else:
        _set_password(query, _text(payload, "username"), _text(payload, "password"))


def _removes(payload: dict[str, Any]) -> list[Any]:
    return several(payload, f"{ns.REGISTER}|remove")


def _text(payload: dict[str, Any], name: str) -> str:
    found = several(payload, f"{ns.REGISTER}|{name}")
    if len(found) != 1 or not isinstance(found[0], str):
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"one <{name}/> with a text is needed")
    return found[0]


def _set_password(query: Query, username: str, password: str) -> None:
    """Section 3.3. All stored credentials are made anew."""
    settings = query.services.settings
    if not settings.of(RegistrationSettings).password_change:
        raise StanzaError(StanzaCondition.NOT_ALLOWED, "passwords are not changed in-band here")
    own = query.asker.bare
    if not _is_name_of(username, own):
        # Section 3.1.1: whoever has an account here does not make a second one.
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "log out to make another account")
    check_password(password, settings)
    fields = stored(password).to_fields()
    if not Accounts(query.services.mailbox.journal).set_credentials(str(own), fields):
        raise StanzaError(StanzaCondition.REGISTRATION_REQUIRED, "the account is gone")
    if settings.of(RegistrationSettings).password_change_ends_others:
        ended = Administration(query.services.mailbox).end_sessions(
            str(own), except_sid=query.session.grip.sid, why="password"
        )
        if ended is not None:
            query.services.announce(ended.placed)
    log.info("password_changed", user=str(own), session=query.session.grip.sid)
    query.reply(b"")


def _is_name_of(username: str, account: JID) -> bool:
    """The localpart, or the whole bare JID as some clients write it."""
    try:
        return JID.parse(username if "@" in username else f"{username}@{account.domain}") == account
    except JIDError:
        return False


def _remove(query: Query) -> None:
    """Section 3.2: answer, then erase everything and close all connections."""
    if not query.services.settings.of(RegistrationSettings).removal:
        raise StanzaError(StanzaCondition.NOT_ALLOWED, "accounts are not removed in-band here")
    accounts, own = Accounts(query.services.mailbox.journal), str(query.asker.bare)
    # The journal answers in order: now everything that this client sent before has its outcome, so that the answer is
    # appended at once, ahead of the removal.
    if accounts.credentials(own) is None:
        raise StanzaError(StanzaCondition.REGISTRATION_REQUIRED)
    query.reply(b"")
    accounts.erase(own)
    log.info("account_removed", user=own)


FEATURE = Feature(
    name="registration",
    xep=Xep(77, "2.4"),
    disco=(ns.REGISTER,),
    iq_get={(ns.REGISTER, "query"): tell},
    iq_set={(ns.REGISTER, "query"): change},
)
