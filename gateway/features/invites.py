"""XEP-0445: Pre-Authenticated In-Band Registration, version 0.2.0. Users and admins make invitations by ad-hoc command
(XEP-0401), operators by `wakegate user invite`; whoever has one may make an account, once.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from gateway.adhoc import Ask, Command, Done, Request
from gateway.enrolment import RegistrationSettings, invite_uri, new_account
from gateway.hooks import Feature, Services, Xep
from gateway.mailbox.invites import Invites
from gateway.operators import is_admin
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.forms import Field, Layout
from gateway.xmpp.jid import JID


def may_invite(asker: JID, services: Services) -> bool:
    """As the setting says."""
    who = services.settings.of(RegistrationSettings).invites
    return who == "users" or (who == "admins" and is_admin(asker, services))


def may_make_accounts(asker: JID, services: Services) -> bool:
    """Invitations that are for a name, or make no contact, are for admins."""
    return services.settings.of(RegistrationSettings).invites != "nobody" and is_admin(asker, services)


def invite_contact(request: Request) -> Done:
    """XEP-0401: an invitation to become the asker's contact, with an account if need be."""
    return _made(request, name=None, is_contact=True)


def ask_account(request: Request) -> Ask:
    """XEP-0401: for whom."""
    return Ask(
        Layout(
            "form",
            title="Invite somebody to make an account",
            fields=(
                Field("username", "User name; empty leaves the choice to the guest", "text-single"),
                Field("roster-subscription", "Become contacts", "boolean", values=("0",)),
            ),
        )
    )


def create_account(request: Request) -> Done:
    """XEP-0401: an invitation to make an account, of a name or any."""
    username = request.text("username")
    name = new_account(username, request.asker.domain, request.services.settings) if username else None
    return _made(request, name=name, is_contact=request.flag("roster-subscription"))


def _made(request: Request, *, name: JID | None, is_contact: bool) -> Done:
    settings = request.services.settings.of(RegistrationSettings)
    inviter = request.asker.bare
    token = Invites(request.services.mailbox.journal).make(
        str(inviter),
        name=str(name) if name is not None else "",
        is_contact=is_contact,
        lifetime_s=settings.invite_lifetime,
        most=settings.max_invites,
    )
    if token is None:
        raise StanzaError(StanzaCondition.CONFLICT, "this name is taken")
    is_roster = is_contact and name is None
    uri = invite_uri(token, inviter if is_roster else name or JID("", inviter.domain), is_contact=is_roster)
    expires = datetime.fromtimestamp(time.time() + settings.invite_lifetime, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fields = [Field("uri", "Invitation URI", "text-single", (uri,)), Field("expire", "Good until", values=(expires,))]
    if settings.invite_page:
        page = settings.invite_page.replace("{uri}", uri).replace("{token}", token)
        fields.insert(1, Field("landing-url", "Web page of the invitation", "text-single", (page,)))
    return Done(Layout("result", title="Invitation", fields=tuple(fields)))


FEATURE = Feature(
    name="invites",
    xep=Xep(445, "0.2.0"),
    commands=(
        Command(f"{ns.INVITE}#invite", "Invite somebody as a contact", (invite_contact,), may_invite),
        Command(
            f"{ns.INVITE}#create-account",
            "Invite somebody to make an account",
            (ask_account, create_account),
            may_make_accounts,
        ),
    ),
    requires=("commands", "registration"),
)
