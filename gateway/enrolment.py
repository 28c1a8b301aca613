"""[registration]: by which rules accounts get their names and passwords, whoever asks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote

import gevent

from gateway.settings import Settings, setting
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.sasl.credentials import Credentials, PasswordRejected, derive

HASH_TIMEOUT_S = 20.0
"""for one password in the thread pool, which may have a queue"""

LONGEST_PASSWORD = 1024
"""characters: it is hashed, but somebody has to hold it until then"""


@dataclass(frozen=True)
class RegistrationSettings:
    """[registration] XEP-0077 and XEP-0445: who may make an account, and what users may do with their own."""

    open: bool = setting(False, help="Anybody may make an account. Nothing but the limits below holds off abuse.")
    invites: str = setting(
        "admins",
        choices=("nobody", "admins", "users"),
        help='Who may invite people to make an account; `wakegate user invite` can unless it is "nobody".',
    )
    invite_lifetime: int = setting(
        604800, unit="s", least=60, most=31536000, help="How long an invitation can be used, once."
    )
    max_invites: int = setting(
        20, unit="invitations", least=1, most=1000, help="Of one account that were not used yet; the oldest goes."
    )
    invite_page: str = setting(
        "",
        help='Web page for invited people who have no app yet, e.g. "https://example.com/invite#{token}"; {uri} and '
        "{token} stand for the invitation's.",
    )
    least_password_length: int = setting(8, unit="characters", least=1, most=128, help="Of passwords set in-band.")
    blocked_names: list[str] = setting(
        [
            "abuse", "admin", "administrator", "hostmaster", "info", "noc", "postmaster", "root", "security", "support",
            "webmaster",
        ],
        help="Localparts that nobody gets in-band.",
    )  # fmt: skip
    tries_per_address: int = setting(
        5, unit="tries", least=1, most=100000, help="Registrations that one address (IPv6: one /64) may try in an hour."
    )
    tries: int = setting(100, unit="tries", least=1, most=1000000, help="Registrations tried in an hour by all.")
    password_change: bool = setting(True, help="Users may change their passwords in-band.")
    password_change_ends_others: bool = setting(
        True, help="A password changed in-band ends the account's other sessions."
    )
    removal: bool = setting(True, help="Users may remove their accounts in-band, with everything in them.")

    def faults(self) -> Iterator[str]:
        """Blocked names are compared as they come out of their preparation."""
        for name in self.blocked_names:
            try:
                prepared = JID.parse(f"{name}@localhost").local
            except JIDError as error:
                yield f'blocked_names: "{name}" is no localpart: {error}'
                continue
            if prepared != name:
                yield f'blocked_names: "{name}" has to be written as "{prepared}"'


def invite_uri(token: str, jid: JID, *, is_contact: bool) -> str:
    """XEP-0445 section 2: of a domain or an account to be made, or of a contact who may be added with one."""
    if is_contact:
        return f"xmpp:{quote(str(jid), safe='@')}?roster;preauth={token};ibr=y"
    return f"xmpp:{quote(str(jid), safe='@')}?register;preauth={token}"


def new_account(username: str, domain: str, settings: Settings) -> JID:
    """The address for an account of this name. Raises StanzaError(not-acceptable)."""
    if "/" in username or "@" in username:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "a user name has neither / nor @")
    try:
        jid = JID.parse(f"{username}@{domain}")
    except JIDError as error:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"this user name cannot be had: {error}") from error
    if jid.local in settings.of(RegistrationSettings).blocked_names:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, "this user name cannot be had")
    return jid


def check_password(password: str, settings: Settings) -> None:
    """Raises StanzaError(not-acceptable)."""
    least = settings.of(RegistrationSettings).least_password_length
    if len(password) < least:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"a password has at least {least} characters")
    if len(password) > LONGEST_PASSWORD:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"a password has at most {LONGEST_PASSWORD} characters")


def stored(password: str) -> Credentials:
    """What is kept instead of a password. Waits while the thread pool hashes; raises StanzaError."""
    try:
        with gevent.Timeout(HASH_TIMEOUT_S, TimeoutError("hashing")):
            found: Credentials | PasswordRejected = gevent.get_hub().threadpool.apply(_derived, (password,))
    except TimeoutError as error:
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "the server is busy, try again later") from error
    if isinstance(found, PasswordRejected):
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, str(found))
    return found


def _derived(password: str) -> Credentials | PasswordRejected:
    try:
        return derive(password, salt=os.urandom(16))
    except PasswordRejected as rejected:
        return rejected  # raised in the pool, it would be logged as a fault
