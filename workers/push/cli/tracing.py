"""`wakegate push trace`."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from gateway.configuration import config_option, read
from gateway.mailbox.journal import Journal
from gateway.mailbox.push_state import look
from gateway.mailbox.push_workers import PushWorkers, WorkerReport
from gateway.mailbox.pushes import Decision, Pushes
from gateway.xmpp.jid import JID, JIDError
from workers.push.cli.access import journal_of
from workers.push.explanation import Explained, Reader, moment
from workers.push.mistakes.diagnosis import in_words as in_lines
from workers.push.reasons import in_words, seconds
from workers.push.settings import PushSettings


@click.command()
@click.argument("whose", metavar="JID|PUSH-ID")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@click.option("--most", default=30, show_default=True, type=click.IntRange(0, 10_000), help="Decisions that are shown.")
@config_option
def trace(whose: str, as_json: bool, most: int, config: tuple[Path, ...]) -> int:
    """Say why the devices of an account are pushed, or are not: how each stands now, and what was decided before.

    A push id, as logs, payloads and answers of providers have it, gives the decisions about that push. No tokens and
    no names but the one given are shown; a device has a name of its own in traces.

    Example: wakegate push trace juliet@example.org
    """
    settings = read(config)
    with journal_of(settings) as journal:
        if _is_push_id(whose):
            return _show_push(journal, whose.lower(), as_json=as_json)
        try:
            user = str(JID.parse(whose).bare)
        except JIDError as error:
            raise click.UsageError(f"{whose!r} is neither a JID nor a push id: {error}") from error
        decisions = Pushes(journal).trace(user)
        workers = PushWorkers(journal).all()
        served = frozenset(app for report in workers.values() for it in report.credentials for app in it.apps)
        push = settings.of(PushSettings)
        reader = Reader(look(journal, user), decisions, push, _breakers(workers), len(workers), served)
    shown = decisions[-most:] if most else []
    if as_json:
        click.echo(json.dumps(_account_json(user, reader, shown), ensure_ascii=False))
    else:
        click.echo("\n".join(_account_lines(user, reader, shown)))
    return 0 if reader.state.place != "none" or decisions else 1


def _is_push_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _breakers(workers: Mapping[str, WorkerReport]) -> dict[str, str]:
    """App -> why some worker asks its provider nothing just now."""
    found = {}
    for report in workers.values():
        for credential in report.credentials:
            if credential.breakers.get("open"):
                found.update(dict.fromkeys(credential.apps, f"breaker open: {credential.why}"))
    return found


def _show_push(journal: Journal, push_id: str, *, as_json: bool) -> int:
    """What is known of one push, and of the event that it was made for."""
    decisions = Pushes(journal).trace_of(push_id)
    events = {decision.event for decision in decisions if decision.push_id == push_id}
    found = [it for it in decisions if it.event in events and it.push_id in ("", push_id)]
    if not found:
        raise click.ClickException(f"nothing is kept about the push {push_id} (see [push] trace_length and trace_days)")
    if as_json:
        click.echo(json.dumps({"push_id": push_id, "decisions": [_decision_json(it) for it in found]}))
    else:
        click.echo("\n".join([f"push {push_id}", *_table(found)]))
    return 0


def _account_lines(user: str, reader: Reader, decisions: Sequence[Decision]) -> list[str]:
    lines = [f"{user}, {moment(reader.state.at_ms)} UTC", *(f"  {line}" for line in reader.account())]
    for explained in reader.devices():
        lines += ["", _title(explained, reader.state.at_ms), *(f"  {line}" for line in explained.lines)]
        lines += in_lines(explained.findings)
    return [*lines, "", "decided, the newest last:" if decisions else "nothing was decided yet", *_table(decisions)]


def _title(explained: Explained, now_ms: int) -> str:
    device = explained.device
    app = f"app {device.app}" if device.app else "at an app server elsewhere (XEP-0357)"
    resource = f", resource {device.resource}" if device.resource else ""  # our own app server's devices have none
    return f"device {device.device}: {app}{resource}, registered {seconds(now_ms - device.at_ms)} ago"


def _table(decisions: Sequence[Decision]) -> list[str]:
    return [
        f"  {moment(it.at_ms)}  {it.device or '-':12}  {in_words(it)}{f'  [{it.push_id}]' if it.push_id else ''}"
        for it in decisions
    ]


def _account_json(user: str, reader: Reader, decisions: Sequence[Decision]) -> dict[str, Any]:
    return {
        "account": user,
        "at_ms": reader.state.at_ms,
        "place": reader.state.place,
        "says": reader.account(),
        "devices": [
            {
                **dataclasses.asdict(explained.device),
                "says": list(explained.lines),
                "mistakes": [finding.to_json() for finding in explained.findings],
            }
            for explained in reader.devices()
        ],
        "planned": [dataclasses.asdict(planned) for planned in reader.state.planned],
        "decisions": [_decision_json(it) for it in decisions],
    }


def _decision_json(decision: Decision) -> dict[str, Any]:
    return {
        "at_ms": decision.at_ms,
        "event": decision.event,
        "what": decision.what,
        "why": decision.why,
        "device": decision.device,
        "push_id": decision.push_id,
        "more": dict(decision.more),
        "says": in_words(decision),
    }
