"""`wakegate push test`."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import click

from gateway.configuration import config_option, read
from gateway.mailbox.pushes import Registration
from workers.push.cli.access import app_of, provider_of
from workers.push.cli.verdict import explained
from workers.push.mistakes import Case
from workers.push.mistakes.diagnosis import Finding, in_words
from workers.push.notification import Content, Push
from workers.push.outcome import Delivered, Outcome
from workers.push.outcome import in_words as outcome_in_words
from workers.push.rules import is_urgent
from workers.push.settings import AppSettings, PushSettings

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
    section = read(config).of(PushSettings)
    settings = app_of(section, app)
    registration = Registration(
        service="", node="", sid="", resource="", app=app, token=token, voip_token=voip_token, p256dh=p256dh, auth=auth
    )
    push = Push(
        app=app,
        token=token,
        push_id=str(uuid.uuid4()),
        expires_at=time.time() + 60,
        kind=kind,
        urgent=is_urgent(kind),
        environment=environment or "",
        count=1,
        sender=sender,
        body=body,
        content=Content.allowed(settings.content),
        voip_token=voip_token,
        call="test" if kind.startswith("call") else "",
        registration=registration,
    )
    with provider_of(section, app) as provider:
        outcome = provider.send(push)
    findings = _explained(section, settings, push, outcome)
    is_accepted = isinstance(outcome, Delivered)
    text = outcome_in_words(outcome)
    if as_json:
        found = {"app": app, "ok": is_accepted, "text": text, "mistakes": [it.to_json() for it in findings]}
        click.echo(json.dumps(found, ensure_ascii=False))
    else:
        click.echo("\n".join([f"{app}: {text}", *in_words(findings)]), err=not is_accepted)
    return 0 if is_accepted else 1


def _explained(section: PushSettings, app: AppSettings, push: Push, outcome: Outcome) -> tuple[Finding, ...]:
    if isinstance(outcome, Delivered):
        return ()
    case = Case(said=outcome.reason, provider=app.provider, app=app, token=push.token, environment=push.environment)
    return explained(case, timeout_s=section.request_timeout)
