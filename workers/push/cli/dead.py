"""`wakegate push dead`: pushes that were given up."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from gateway.configuration import config_option, read
from gateway.mailbox.pushes import Pushes
from gateway.settings import Settings
from workers.push.cli.access import hashed, journal_of
from workers.push.mistakes import Case
from workers.push.mistakes.diagnosis import Finding, diagnose, in_words
from workers.push.settings import APPSERVER, PushSettings

MOST = 100_000

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
accounts_option = click.option("--accounts", is_flag=True, help="Show whose they are; else a keyed hash stands for it.")


@click.group()
def dead() -> None:
    """Pushes that were given up: read them, and send them on their way again.

    Example: wakegate push dead list
    """


@dead.command(name="list")
@json_option
@accounts_option
@click.option("--most", default=1000, show_default=True, type=click.IntRange(1, MOST), help="No more than this many.")
@config_option
def list_letters(as_json: bool, accounts: bool, most: int, config: tuple[Path, ...]) -> None:
    """List dead letters, oldest first: when, whose, which app, why. Tokens and texts are not in them.

    Example: wakegate push dead list --json
    """
    settings = read(config)
    with journal_of(settings) as journal:
        letters = list(Pushes(journal).dead_letters(most))
    found = [
        {**_shown(settings, letter, fields, accounts=accounts), "mistake": _mistake(settings, fields)}
        for letter, fields in letters
    ]
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for it in found:
        known = f" ({it['mistake']})" if it["mistake"] else ""
        what = f"{it['kind']}, {it['reason']}: {it['why']}{known}"
        click.echo(f"{it['letter']}  {it['at']}  {it['account']}  {it['app'] or '-'}  {what}")


@dead.command()
@click.argument("letter")
@json_option
@accounts_option
@config_option
def explain(letter: str, as_json: bool, accounts: bool, config: tuple[Path, ...]) -> int:
    """Say what became of a push, what that means, and what to do before it is replayed.

    Example: wakegate push dead explain 1700000000000-0
    """
    settings = read(config)
    with journal_of(settings) as journal:
        fields = dict(Pushes(journal).dead_letters(MOST)).get(letter)
    if fields is None:
        raise click.ClickException(f"{letter}: there is no such letter; see: wakegate push dead list")
    shown = _shown(settings, letter, fields, accounts=accounts)
    findings = _findings(settings, fields)
    if as_json:
        click.echo(json.dumps({**shown, "mistakes": [it.to_json() for it in findings]}, ensure_ascii=False))
        return 0
    click.echo(f"{letter}: {shown['why']}")
    click.echo(f"  a push ({shown['kind']}, {shown['reason']}) for {shown['account']}, app {shown['app'] or '-'}")
    click.echo(f"  given up at {shown['at']} UTC")
    for line in in_words(findings) or ["  Nobody has written down yet what that means; the provider's documents may."]:
        click.echo(line)
    click.echo(f"  Then: wakegate push dead replay {letter}")
    return 0


@dead.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are.")
@json_option
@config_option
def replay(letters: tuple[str, ...], is_all: bool, as_json: bool, config: tuple[Path, ...]) -> int:
    """Put dead letters back to work. What is not true any more (the phone is back) is cancelled as any other push is.

    Example: wakegate push dead replay 1700000000000-0
    """
    if bool(letters) == is_all:
        raise click.UsageError("name letters, as `push dead list` shows them, or say --all")
    with journal_of(read(config)) as journal:
        pushes = Pushes(journal)
        known = dict(pushes.dead_letters(MOST))
        missing = [letter for letter in letters if letter not in known]
        chosen = [letter for letter in known if is_all or letter in letters]
        for letter in chosen:
            pushes.replay(letter, known[letter])
    if as_json:
        click.echo(json.dumps({"replayed": chosen, "missing": missing}))
    else:
        click.echo(f"{len(chosen)} replayed")
    for letter in missing:
        click.echo(f"{letter}: there is no such letter; see: wakegate push dead list", err=True)
    return 1 if missing else 0


def _findings(settings: Settings, fields: dict[str, str]) -> tuple[Finding, ...]:
    """What is usually behind such a letter."""
    app = settings.of(PushSettings).apps.get(fields["app"])
    if app is None and fields["app"]:
        return diagnose(Case(said="unknown-app"))
    provider = app.provider if app is not None else APPSERVER
    return diagnose(Case(said=fields["why"], provider=provider, app=app))


def _mistake(settings: Settings, fields: dict[str, str]) -> str:
    """The same in a word, if it is certain: the name that docs/push-troubleshooting.md has it under."""
    return next((found.mistake.name for found in _findings(settings, fields) if found.certain), "")


def _shown(settings: Settings, letter: str, fields: dict[str, str], *, accounts: bool) -> dict[str, Any]:
    """A letter as it may be shown: whose it is only if that was asked for, and never the client's own node."""
    return {
        "letter": letter,
        "at": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(letter.partition("-")[0]) / 1000)),
        "account": fields["user"] if accounts else hashed(settings, fields["user"]),
        "app": fields["app"],
        "kind": fields["class"],
        "reason": fields["reason"],
        "why": fields["why"],
    }
