"""`wakegate push test`."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import click

from gateway.configuration import config_option, read
from gateway.mailbox.pushes import Registration
from workers.push import probe
from workers.push.cli.access import app_of, provider_of
from workers.push.cli.verdict import explained
from workers.push.dry_run import request_for, validation_of
from workers.push.mistakes import Case
from workers.push.mistakes.diagnosis import Finding, diagnose, in_words
from workers.push.notification import Content, Push
from workers.push.outcome import Delivered, Later, Outcome
from workers.push.outcome import in_words as outcome_in_words
from workers.push.reply import Reply, Result
from workers.push.rules import is_urgent
from workers.push.settings import FCM, AppSettings, PushSettings

LIFETIME_S = 60
KINDS = ("message", "call", "call-ended", "last-call")


@click.command()
@click.argument("app")
@click.argument("token")
@click.option("--kind", type=click.Choice(KINDS), default="message", show_default=True, help="What to pretend.")
@click.option(
    "--environment", type=click.Choice(["production", "sandbox", "auto"]), help="APNs: where TOKEN comes from."
)
@click.option("--voip-token", default="", help="APNs: the device's PushKit token, for --kind call.")
@click.option("--p256dh", default="", help="Web Push: the subscription's key; TOKEN is its endpoint.")
@click.option("--auth", default="", help="Web Push: the subscription's secret.")
@click.option("--sender", help="Pretend that this JID wrote, as far as the app's `content` lets it be told.")
@click.option("--body", help="Pretend that it wrote this.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing; Google is asked to judge it.")
@click.option("--offline", is_flag=True, help="With --dry-run: do not ask Google.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
@config_option
def test(
    app: str,
    token: str,
    kind: str,
    environment: str | None,
    voip_token: str,
    p256dh: str,
    auth: str,
    sender: str | None,
    body: str | None,
    dry_run: bool,
    offline: bool,
    as_json: bool,
    config: tuple[Path, ...],
) -> int:
    """Send a test push to the device TOKEN of APP, and say what came of it.

    Example: wakegate push test chat-ios 80a3...f1
    """
    settings = read(config)
    section = settings.of(PushSettings)
    of_app = app_of(section, app)
    push = _push(app, of_app, token=token, kind=kind, environment=environment or "", voip_token=voip_token,
                 p256dh=p256dh, auth=auth, sender=sender, body=body)  # fmt: skip
    if dry_run:
        return _show(section, of_app, push, offline=offline, as_json=as_json)
    with provider_of(section, app, settings=settings) as provider:
        outcome = provider.send(push)
    return _say(section, of_app, push, outcome, as_json=as_json)


def _push(
    name: str,
    app: AppSettings,
    *,
    token: str,
    kind: str,
    environment: str,
    voip_token: str,
    p256dh: str,
    auth: str,
    sender: str | None,
    body: str | None,
) -> Push:
    """As the dispatcher makes one, for a registration that is nobody's."""
    registration = Registration(
        service="", node="", sid="", resource="", app=name, token=token, voip_token=voip_token, p256dh=p256dh, auth=auth
    )
    return Push(
        app=name,
        token=token,
        push_id=str(uuid.uuid4()),
        expires_at=time.time() + LIFETIME_S,
        kind=kind,
        urgent=is_urgent(kind),
        environment=environment,
        count=1,
        sender=sender,
        body=body,
        content=Content.allowed(app.content),
        voip_token=voip_token if kind == "call" else "",
        call="test" if kind.startswith("call") else "",
        registration=registration,
    )


def _show(section: PushSettings, app: AppSettings, push: Push, *, offline: bool, as_json: bool) -> int:
    """The request, and what can be said of it without sending it to anybody."""
    now = time.time()
    request = request_for(push, app, now=now)
    findings = diagnose(Case(said="", provider=app.provider, app=app, token=push.token))
    judged, is_good = "nothing was sent", not findings
    if app.provider == FCM and not offline and is_good:
        result = probe.ask_google(app, validation_of(push, now=now), timeout_s=section.request_timeout)
        outcome = _outcome_of(result, now)
        is_good = isinstance(outcome, Delivered)
        judged = "nothing was sent; Google would take it" if is_good else f"Google: {outcome_in_words(outcome)}"
        findings = _explained(section, app, push, outcome)
    if as_json:
        found = {"app": push.app, "ok": is_good, "text": judged, "request": request.to_json()}
        click.echo(json.dumps({**found, "mistakes": [it.to_json() for it in findings]}, ensure_ascii=False))
    else:
        click.echo("\n".join(request.lines()))
        click.echo("\n".join(["", f"{push.app}: {judged}", *in_words(findings)]), err=not is_good)
    return 0 if is_good else 1


def _outcome_of(result: Result, now: float) -> Outcome:
    from workers.push.providers.fcm.answers import react

    if isinstance(result, Reply):
        return react(result, now=now).outcome
    return Later(None, result.reason)


def _say(section: PushSettings, app: AppSettings, push: Push, outcome: Outcome, *, as_json: bool) -> int:
    """What came of a push that was sent."""
    findings = _explained(section, app, push, outcome)
    is_accepted = isinstance(outcome, Delivered)
    text = outcome_in_words(outcome)
    if as_json:
        found = {"app": push.app, "ok": is_accepted, "text": text, "mistakes": [it.to_json() for it in findings]}
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        click.echo("\n".join([f"{push.app}: {text}", *in_words(findings)]), err=not is_accepted)
    return 0 if is_accepted else 1


def _explained(section: PushSettings, app: AppSettings, push: Push, outcome: Outcome) -> tuple[Finding, ...]:
    if isinstance(outcome, Delivered):
        return ()
    case = Case(said=outcome.reason, provider=app.provider, app=app, token=push.token, environment=push.environment)
    return explained(case, timeout_s=section.request_timeout)
