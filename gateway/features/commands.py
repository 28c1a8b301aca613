"""XEP-0050: Ad-Hoc Commands, version 1.3.0. Lists and executes the commands that features declare.

What people read is in English, and says so by xml:lang; a request in another language is answered all the same (the
standard would have it refused with bad-locale, which helps nobody).
"""

from __future__ import annotations

import re
import secrets
from typing import Any

from gateway.adhoc import Ask, Command, Done, Note, Request, bad_payload, forbidden, refusal
from gateway.hooks import DiscoInfo, DiscoItems, Feature, On, Query, Services, Xep
from gateway.mailbox.commands import CommandSession, CommandSessions
from gateway.xmpp import forms, ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.forms import Form
from gateway.xmpp.jid import JID

ACTIONS = frozenset({"execute", "next", "prev", "complete", "cancel"})

SESSION_ID = re.compile(r"[A-Za-z0-9_-]{20}")

LARGEST = 65536
"""characters of one submitted form: forms of several stages are kept"""


def _all(services: Services) -> dict[str, Command]:
    return {command.node: command for feature in services.features.all for command in feature.commands}


def _command(node: str, to: JID, asker: JID, services: Services) -> Command:
    """The command if the asker may have it. Raises StanzaError."""
    command = _all(services).get(node)
    if command is None or not _is_served(to, asker):
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
    if not command.allowed(asker, services):
        raise forbidden()
    return command


def _is_served(to: JID, asker: JID) -> bool:
    """Commands are the server's: neither an account nor a subdomain has any."""
    return not to.local and to.domain == asker.domain


def list_commands(event: DiscoItems) -> None:
    """XEP-0050 section 2.2: what the asker may execute."""
    if event.node != ns.COMMANDS or not _is_served(event.to, event.asker):
        return
    event.is_known = True
    for command in _all(event.services).values():
        if command.allowed(event.asker, event.services):
            event.items.append((str(event.to), command.name, command.node))


def describe(event: DiscoInfo) -> None:
    """XEP-0050 section 2.2: the list's identity, and each command's."""
    if not event.node or not _is_served(event.to, event.asker):
        return
    if event.node == ns.COMMANDS:
        event.is_known = True
        event.identities.append(("automation", "command-list", "Commands"))
        event.features.add(ns.COMMANDS)
        return
    if event.node not in _all(event.services):
        return
    command = _command(event.node, event.to, event.asker, event.services)
    event.is_known = True
    event.identities.append(("automation", "command-node", command.name))
    event.features.update((ns.COMMANDS, ns.DATA_FORMS))


def execute(query: Query) -> None:
    """XEP-0050 section 2.4: begin, go on, go back, or cancel."""
    payload: Any = next(iter(query.iq.payload().values()))[f"{ns.COMMANDS}|command"]
    payload = payload if isinstance(payload, dict) else {}
    node, action, sid = payload.get("@node", ""), payload.get("@action", "execute"), payload.get("@sessionid")
    if action not in ACTIONS:
        raise refusal(StanzaCondition.BAD_REQUEST, "malformed-action", "there is no such action")
    if not node:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "the attribute node names the command")
    command = _command(node, query.to, query.asker, query.services)
    if sid is None:
        if action not in ("execute", "next", "complete"):
            raise refusal(StanzaCondition.BAD_REQUEST, "bad-action", "nothing has been begun")
        _begin(query, command)
    elif not SESSION_ID.fullmatch(sid):
        raise refusal(StanzaCondition.BAD_REQUEST, "bad-sessionid", "this server gave no such session id")
    else:
        _continue(query, command, sid, action, payload.get(f"{ns.DATA_FORMS}|x"))


def _begin(query: Query, command: Command) -> None:
    """The first step. A form that comes with it at once cannot have been asked for, and is passed over."""
    answer = command.steps[0](Request(query.session, query.services, Form("submit")))
    sid = secrets.token_urlsafe(15)
    if isinstance(answer, Ask):
        session = CommandSession(command.node, str(query.asker))
        CommandSessions(query.services.mailbox).keep(str(query.asker.bare), sid, session)
    query.reply(_written(command, sid, answer, stage=1))


def _continue(query: Query, command: Command, sid: str, action: str, x: Any) -> None:
    sessions, user = CommandSessions(query.services.mailbox), str(query.asker.bare)
    session = sessions.take(user, sid)
    if session is None:
        raise refusal(StanzaCondition.NOT_ALLOWED, "session-expired", "it is completed, canceled, or took too long")
    if session.node != command.node or session.jid != str(query.asker):
        sessions.keep(user, sid, session)
        raise refusal(StanzaCondition.BAD_REQUEST, "bad-sessionid", "another command or client has this session")
    if action == "cancel":
        sessions.end(user, sid)
        query.reply(_element(command, sid, "canceled", b""))
        return
    try:
        answer, submitted = _step(query, command, session, action, x)
    except StanzaError:
        sessions.keep(user, sid, session)  # a wrong form can be sent again, put right
        raise
    if isinstance(answer, Done):
        sessions.end(user, sid)
    else:
        sessions.keep(user, sid, CommandSession(session.node, session.jid, submitted))
    query.reply(_written(command, sid, answer, stage=len(submitted) + 1))


def _step(
    query: Query, command: Command, session: CommandSession, action: str, x: Any
) -> tuple[Ask | Done, tuple[dict[str, list[str]], ...]]:
    """Run the step that the action leads to. Answers what it said, and the forms that are behind it."""
    submitted = session.submitted
    if action == "prev":
        if not submitted:
            raise refusal(StanzaCondition.BAD_REQUEST, "bad-action", "this is the first stage")
        submitted = submitted[:-1]
    else:
        is_last = len(submitted) + 2 == len(command.steps)
        if action != "execute" and (action == "complete") != is_last:
            raise refusal(StanzaCondition.BAD_REQUEST, "bad-action", "not at this stage")
        submitted = (*submitted, _submitted(x))
    known = tuple(Form("submit", fields) for fields in submitted)
    form, earlier = (known[-1], known[:-1]) if known else (Form("submit"), ())
    return command.steps[len(submitted)](Request(query.session, query.services, form, earlier)), submitted


def _submitted(x: Any) -> dict[str, list[str]]:
    """The fields of the form that came. XEP-0050 section 3.4.1: what is no `submit` is taken for one."""
    try:
        fields = forms.read(x).fields
    except StanzaError as error:
        raise bad_payload(error.text) from error
    if sum(len(var) + sum(map(len, values)) for var, values in fields.items()) > LARGEST:
        raise bad_payload(f"the form is longer than {LARGEST} characters")
    return fields


def _written(command: Command, sid: str, answer: Ask | Done, *, stage: int) -> bytes:
    notes = "".join([_note(note) for note in answer.notes]).encode()
    if isinstance(answer, Done):
        result = answer.result.to_bytes() if answer.result is not None else b""
        return _element(command, sid, "completed", notes + result)
    forward = "complete" if stage + 1 == len(command.steps) else "next"
    back = "<prev/>" if stage > 1 else ""
    actions = f"<actions execute='{forward}'>{back}<{forward}/></actions>"
    return _element(command, sid, "executing", actions.encode() + notes + answer.form.to_bytes())


def _note(note: Note) -> str:
    return f"<note type='{note.type}'>{escape(note.text)}</note>"


def _element(command: Command, sid: str, status: str, inner: bytes) -> bytes:
    head = (
        f"<command xmlns='{ns.COMMANDS}' node='{escape(command.node)}' sessionid='{sid}' status='{status}'"
        " xml:lang='en'>"
    )
    return head.encode() + inner + b"</command>"


FEATURE = Feature(
    name="commands",
    xep=Xep(50, "1.3.0"),
    disco=(ns.COMMANDS,),
    iq_set={(ns.COMMANDS, "command"): execute},
    hooks=(On(DiscoItems, list_commands), On(DiscoInfo, describe)),
)
