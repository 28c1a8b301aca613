"""XEP-0157: Contact Addresses for XMPP Services, version 1.1.1. Whom to turn to, in the server's disco#info."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from gateway.hooks import DiscoInfo, Feature, On, Xep
from gateway.settings import setting
from gateway.xmpp import forms

FORM_TYPE = "http://jabber.org/network/serverinfo"


@dataclass(frozen=True)
class ContactSettings:
    """[contact] Addresses that everybody may see (XEP-0157), as URIs: "mailto:abuse@example.org",
    "xmpp:admin@example.org", "https://status.example.org".
    """

    abuse: list[str] = setting([], most=20, help="For reports of abuse.")
    admin: list[str] = setting([], most=20, help="Of who runs the server.")
    feedback: list[str] = setting([], most=20, help="For praise and complaints.")
    sales: list[str] = setting([], most=20, help="For whoever wants to buy something.")
    security: list[str] = setting([], most=20, help="For reports of weaknesses.")
    status: list[str] = setting([], most=20, help="Where to see whether the server works.")
    support: list[str] = setting([], most=20, help="For whoever needs help.")

    def faults(self) -> Iterator[str]:
        """Each address is a URI; an address of another kind would be taken for a path."""
        for field in fields(self):
            for address in getattr(self, field.name):
                fault = _uri_fault(address)
                if fault:
                    yield f'{field.name}: "{address}" {fault}'


def _uri_fault(address: str) -> str:
    try:
        uri = urlsplit(address)
    except ValueError as error:
        return f"is no URI: {error}"
    if not uri.scheme or not (uri.netloc or uri.path) or any(c <= " " or c in '<>"{}|\\^`' for c in address):
        return 'is no URI; write "mailto:name@domain", "xmpp:name@domain" or "https://…"'
    return ""


def describe(event: DiscoInfo) -> None:
    """XEP-0157 section 3: a form beside the server's features."""
    if event.is_account or event.is_host or event.node:
        return
    settings = event.services.settings.of(ContactSettings)
    given = {f"{field.name}-addresses": getattr(settings, field.name) for field in fields(settings)}
    told = {var: addresses for var, addresses in given.items() if addresses}
    if told:
        event.forms.append(forms.write(forms.Form("result", {forms.FORM_TYPE: [FORM_TYPE], **told})))


FEATURE = Feature(name="contact-addresses", xep=Xep(157, "1.1.1"), hooks=(On(DiscoInfo, describe),))
