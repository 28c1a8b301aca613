"""`wakegate push check`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.configuration import config_option, read
from workers.push.cli.access import app_of
from workers.push.cli.verdict import judge
from workers.push.settings import PushSettings


@click.command()
@click.argument("app", required=False)
@click.option("--offline", is_flag=True, help="Look at files and settings only; ask nobody.")
@click.option("--deep", is_flag=True, help="Let Apple judge the key, too: by a push to a device that does not exist.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@config_option
def check(app: str | None, offline: bool, deep: bool, as_json: bool, config: tuple[Path, ...]) -> int:
    """Verify the credentials of APP, a name in [push.apps.NAME], or of all apps. Nothing is sent to any device.

    For APNs: the key signs, a certificate is good, and Apple can be reached. Apple judges a key only when something is
    pushed: --deep does that. For FCM: Google judges a message that is sent to nobody.

    Example: wakegate push check chat-ios
    """
    settings = read(config)
    section = settings.of(PushSettings)
    names = [app] if app is not None else list(section.apps)
    for name in names:
        app_of(section, name)
    if not names:
        raise click.ClickException("no app is configured; see: wakegate push add-app --help")
    verdicts = [judge(section, name, settings=settings, offline=offline, deep=deep) for name in names]
    if as_json:
        click.echo(json.dumps([verdict.to_json() for verdict in verdicts], ensure_ascii=False))
    else:
        for verdict in verdicts:
            click.echo("\n".join(verdict.lines()), err=not verdict.ok)
    return 0 if all(verdict.ok for verdict in verdicts) else 1
