"""XEP-0133: Service Administration, version 1.3.1. Add, delete, disable and enable accounts, end sessions, set
passwords, announce; numbers, lists and statistics of users. For the admins of the configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from uuid import uuid4

from gateway.adhoc import Ask, Command, Done, Note, Request, Step, bad_payload
from gateway.enrolment import check_password, stored
from gateway.hooks import Feature, On, Phase, PresenceChanged, Services, Xep
from gateway.mailbox import entry, keys
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.administration import Administration, Ended
from gateway.mailbox.errors import StoreError
from gateway.mailbox.library import function
from gateway.mailbox.model import Delivery
from gateway.operators import accounts, command, form
from gateway.telemetry import get_logger
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.forms import Field
from gateway.xmpp.jid import JID

log = get_logger(__name__)

MOST_ACCOUNTS = 100
"""of one request"""

LONGEST_ANNOUNCEMENT = 10_000

ACCOUNT = Field("accountjid", "The Jabber ID of the account", "jid-single", is_required=True)
ACCOUNTS = Field("accountjids", "The Jabber ID(s) of the accounts", "jid-multi", is_required=True)
PASSWORD = Field("password", "The password for this account", "text-private", is_required=True)


def asking(title: str, *fields: Field) -> Step:
    """The first step of a command that needs a form."""
    return lambda request: Ask(form(title, *fields))


def _ids(request: Request) -> tuple[str, str]:
    """For the log: who did it, in which session."""
    return str(request.asker.bare), request.session.grip.sid


def add_user(request: Request) -> Done:
    """Section 4.1. An admin may give names that nobody gets otherwise."""
    (jid,) = accounts(request, "accountjid", most=1)
    password = request.required("password")
    if request.form.fields.get("password-verify", [password]) not in ([password], []):
        raise bad_payload("the passwords differ")
    check_password(password, request.services.settings)
    if not Accounts(request.services.mailbox.journal).create(str(jid), stored(password).to_fields()):
        raise StanzaError(StanzaCondition.CONFLICT, f"{jid} exists")
    log.info("account_added", user=str(jid), admin=_ids(request)[0])
    return Done()


def change_password(request: Request) -> Done:
    """Section 4.7. The account's sessions end: whoever knew the old password may be in one."""
    (jid,) = accounts(request, "accountjid", most=1)
    password = request.required("password")
    check_password(password, request.services.settings)
    if not Accounts(request.services.mailbox.journal).set_credentials(str(jid), stored(password).to_fields()):
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, f"{jid} does not exist")
    own = request.session.grip.sid if jid == request.asker.bare else ""
    ended = Administration(request.services.mailbox).end_sessions(str(jid), except_sid=own, why="password")
    if ended is not None:
        request.services.announce(ended.placed)
    log.info("password_set", user=str(jid), admin=_ids(request)[0])
    return Done()


def _each(event: str, act: Callable[[Request, str], bool]) -> Step:
    """A step that does something to each account of a list. Admins have other means against themselves."""

    def step(request: Request) -> Done:
        wanted = accounts(request, "accountjids", most=MOST_ACCOUNTS)
        if request.asker.bare in wanted:
            raise StanzaError(StanzaCondition.NOT_ALLOWED, "this is your own account")
        missing = []
        for jid in wanted:
            if act(request, str(jid)):
                log.info(event, user=str(jid), admin=_ids(request)[0])
            else:
                missing.append(jid)
        return Done(notes=tuple(_unknown(missing)))

    return step


def _unknown(missing: Iterable[JID]) -> Iterable[Note]:
    return (Note(f"{jid} does not exist", "error") for jid in missing)


def _delete(request: Request, user: str) -> bool:
    return Accounts(request.services.mailbox.journal).erase(user)


def _disable(request: Request, user: str) -> bool:
    return _was_there(request.services, Administration(request.services.mailbox).disable(user))


def _reenable(request: Request, user: str) -> bool:
    return Administration(request.services.mailbox).reenable(user)


def _was_there(services: Services, ended: Ended | None) -> bool:
    if ended is not None:
        services.announce(ended.placed)
    return ended is not None


def end_user_session(request: Request) -> Done:
    """Section 4.5: all sessions of a bare JID, one of a full JID. The session that asks stays."""
    administration, missing = Administration(request.services.mailbox), []
    for jid in accounts(request, "accountjids", most=MOST_ACCOUNTS, full=True):
        ended = administration.end_sessions(str(jid.bare), resource=jid.resource, except_sid=request.session.grip.sid)
        if not _was_there(request.services, ended):
            missing.append(jid)
        else:
            log.info("sessions_ended", user=str(jid), admin=_ids(request)[0])
    return Done(notes=tuple(_unknown(missing)))


def announce(request: Request) -> Done:
    """Section 4.23, to everybody who is connected now. A headline is not kept for those who are not."""
    text = "\n".join(request.form.fields.get("announcement", ())).strip()
    if not text:
        raise bad_payload("the field announcement is needed")
    if len(text) > LONGEST_ANNOUNCEMENT:
        raise bad_payload(f"an announcement has at most {LONGEST_ANNOUNCEMENT} characters")
    told = 0
    for user, _is_active in Administration(request.services.mailbox).connected():
        _send(request.services, request.asker.domain, user, text)
        told += 1
    log.info("announced", users=told, admin=_ids(request)[0])
    return Done(notes=(Note(f"sent to {told} users"),))


def _send(services: Services, domain: str, user: str, text: str) -> None:
    stanza = (
        f"<message from='{escape(domain)}' to='{escape(user)}' type='headline' id='{uuid4()}'>"
        f"<subject>Announcement</subject><body>{escape(text)}</body></message>"
    ).encode()

    def done(outcome: Delivery | StoreError) -> None:
        if isinstance(outcome, Delivery):
            services.announce(outcome.placed, stanza)
        else:
            log.warning("announcement_lost", error=str(outcome))

    services.mailbox.deliver(
        user=user, resource="", sender=domain, origin=None, kind=entry.MESSAGE, type="headline", flags="",
        stanza=stanza, done=done,
    )  # fmt: skip


def note_login(event: PresenceChanged) -> None:
    """Keeps the time for the last login's command: of the first presence, since a session without is nobody's visit."""
    if event.former is None and event.priority is not None:
        user = str(event.session.jid.bare)
        event.services.mailbox.journal.submit(
            lambda _reply: None, "FCALL", function("logged_in"), 1, keys.prefix(user), user
        )


COMMANDS: tuple[Command, ...] = (
    command(
        "add-user",
        "Add a user",
        asking(
            "Add a user",
            ACCOUNT,
            PASSWORD,
            Field("password-verify", "The password again", "text-private", is_required=True),
        ),
        add_user,
    ),
    command("delete-user", "Delete users", asking("Delete users", ACCOUNTS), _each("account_deleted", _delete)),
    command("disable-user", "Disable users", asking("Disable users", ACCOUNTS), _each("account_disabled", _disable)),
    command(
        "reenable-user", "Re-enable users", asking("Re-enable users", ACCOUNTS), _each("account_enabled", _reenable)
    ),
    command("end-user-session", "End user sessions", asking("End user sessions", ACCOUNTS), end_user_session),
    command(
        "change-user-password",
        "Change a user's password",
        asking("Change a user's password", ACCOUNT, PASSWORD),
        change_password,
    ),
    command(
        "announce",
        "Send an announcement to online users",
        asking(
            "Send an announcement to online users",
            Field("announcement", "Announcement", "text-multi", is_required=True),
        ),
        announce,
    ),
)

FEATURE = Feature(
    name="administration",
    xep=Xep(133, "1.3.1"),
    commands=COMMANDS,
    hooks=(On(PresenceChanged, note_login, Phase.OBSERVE),),
    requires=("commands",),
)
