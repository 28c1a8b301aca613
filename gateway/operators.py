"""[administration]: who may administer this server, and how the commands for it are made (XEP-0133)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from gateway.adhoc import Command, Request, Step, bad_payload
from gateway.sections import ServerSettings
from gateway.settings import setting
from gateway.xmpp.forms import Field, Layout
from gateway.xmpp.jid import JID, JIDError

if TYPE_CHECKING:
    from gateway.hooks import Services

ADMIN: Final = "http://jabber.org/protocol/admin"


@dataclass(frozen=True)
class AdministrationSettings:
    """[administration] XEP-0133: Service Administration."""

    admins: list[str] = setting([], help='Accounts that may administer this server, e.g. ["juliet@example.com"].')

    def faults(self) -> Iterator[str]:
        """Each must be an account's address, as it comes out of its preparation."""
        for admin in self.admins:
            try:
                jid = JID.parse(admin)
            except JIDError as error:
                yield f'admins: "{admin}" is no address: {error}'
                continue
            if not jid.local or jid.resource or str(jid) != admin:
                yield f'admins: "{admin}" is no account: localpart@domain is needed, in lower case'


def is_admin(asker: JID, services: Services) -> bool:
    """Whether the account administers this server."""
    return str(asker.bare) in services.settings.of(AdministrationSettings).admins


def command(name: str, title: str, *steps: Step) -> Command:
    """A command of XEP-0133, for admins; `name` is what follows the # of its node."""
    return Command(f"{ADMIN}#{name}", title, steps, is_admin)


def form(title: str, *fields: Field) -> Layout:
    """To be filled in."""
    return Layout("form", ADMIN, title, fields=fields)


def result(*fields: Field) -> Layout:
    """To be read."""
    return Layout("result", ADMIN, fields=fields)


def accounts(request: Request, var: str, *, most: int, full: bool = False) -> list[JID]:
    """The accounts of this server in a field, full JIDs only if allowed. Raises StanzaError(bad-payload)."""
    domains = request.services.settings.of(ServerSettings).domains
    found = request.jids(var, most=most)
    for jid in found:
        if jid.domain not in domains or not jid.local or (jid.resource and not full):
            raise bad_payload(f"{jid} is no account of this server")
    return found
