"""`wakegate push`: the worker, and what an operator asks about pushes."""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from gateway.configuration import begin, config_option, read
from gateway.mailbox import embedded
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import Pushes
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ServerSettings
from gateway.settings import Settings
from workers.push.provider import Provider
from workers.push.settings import PushSettings


@click.group(invoke_without_command=True)
@config_option
@click.pass_context
def push(context: click.Context, config: tuple[Path, ...]) -> None:
    """Run one push worker: it wakes phones through Apple and Google. Several share the work.

    With a command, look after pushes instead.

    Example: wakegate push --config config/wakegate.toml
    """
    if context.invoked_subcommand is None:
        from workers.push.worker import run  # the other commands need none of it

        run(begin(config))


@push.command()
@click.argument("app")
@config_option
def check(app: str, config: tuple[Path, ...]) -> int:
    """Verify the credentials of APP, a name in [push.apps.NAME], without sending anything.

    For APNs: the key signs, and Apple can be reached. Apple judges a key only when something is pushed: try `push
    test`. For FCM: Google judges a message that is sent to nobody.

    Example: wakegate push check chat-ios
    """
    with _providers(read(config), app) as provider:
        checked = provider.check()
    click.echo(f"{app}: {checked.text}", err=not checked.ok)
    return 0 if checked.ok else 1


@push.command()
@click.argument("app")
@click.argument("token")
@click.option(
    "--environment", type=click.Choice(["production", "sandbox", "auto"]), help="APNs: where TOKEN comes from."
)
@config_option
def test(app: str, token: str, environment: str | None, config: tuple[Path, ...]) -> int:
    """Send a test push to the device TOKEN of APP, and say what came of it.

    Example: wakegate push test chat-ios 80a3...f1
    """
    from workers.push.notification import Push
    from workers.push.outcome import Delivered, in_words

    wanted = Push(
        app=app,
        token=token,
        push_id=str(uuid.uuid4()),
        expires_at=time.time() + 60,
        environment=environment or "",
        count=1,
    )
    with _providers(read(config), app) as provider:
        outcome = provider.send(wanted)
    is_accepted = isinstance(outcome, Delivered)
    click.echo(f"{app}: {in_words(outcome)}", err=not is_accepted)
    return 0 if is_accepted else 1


@push.group()
def dead() -> None:
    """Pushes that were given up: read them, and send them on their way again."""


@dead.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option(
    "--most", default=1000, show_default=True, type=click.IntRange(1, 100_000), help="No more than this many."
)
@config_option
def list_letters(as_json: bool, most: int, config: tuple[Path, ...]) -> None:
    """List dead letters, oldest first: when, who, which app, why. Tokens and texts are not in them.

    Example: wakegate push dead list --json
    """
    with _pushes(read(config)) as pushes:
        letters = list(pushes.dead_letters(most))
    if as_json:
        click.echo(json.dumps([{"letter": letter, **fields} for letter, fields in letters], ensure_ascii=False))
        return
    for letter, fields in letters:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(int(letter.partition("-")[0]) / 1000))
        click.echo(f"{letter}  {when}  {fields['user']}  {fields['app']}  {fields['reason']}: {fields['why']}")


@dead.command()
@click.argument("letters", nargs=-1)
@click.option("--all", "is_all", is_flag=True, help="All there are.")
@config_option
def replay(letters: tuple[str, ...], is_all: bool, config: tuple[Path, ...]) -> int:
    """Put dead letters back to work. What is not true any more (the phone is back) is cancelled as any other push is.

    Example: wakegate push dead replay 1700000000000-0
    """
    if bool(letters) == is_all:
        raise click.UsageError("name letters, as `push dead list` shows them, or say --all")
    with _pushes(read(config)) as pushes:
        known = dict(pushes.dead_letters(100_000))
        missing = [letter for letter in letters if letter not in known]
        chosen = [letter for letter in known if is_all or letter in letters]
        for letter in chosen:
            pushes.replay(letter, known[letter])
    click.echo(f"{len(chosen)} replayed")
    for letter in missing:
        click.echo(f"{letter}: there is no such letter; see: wakegate push dead list", err=True)
    return 1 if missing else 0


@contextlib.contextmanager
def _providers(settings: Settings, app: str) -> Iterator[Provider]:
    """The provider of one app, with a token of its own: a check must not need Redis."""
    from workers.push.apps import Apps
    from workers.push.providers.apns.token_store import LocalTokenStore

    section = settings.of(PushSettings)
    if app not in section.apps:
        known = ", ".join(section.apps) or "none is configured"
        raise click.ClickException(f"there is no [push.apps.{app}]; what there is: {known}")
    only = replace(section, apps={app: section.apps[app]})
    apps = Apps(only, store=LocalTokenStore())
    try:
        yield apps[app]
    finally:
        apps.close()


@contextlib.contextmanager
def _pushes(settings: Settings) -> Iterator[Pushes]:
    """The mailboxes' push side; an embedded server that does not run is started for as long as this is open."""
    redis = settings.of(RedisSettings)
    data_dir = settings.of(ServerSettings).data_dir
    with contextlib.ExitStack() as stack:
        if redis.url == embedded.EMBEDDED:
            stack.enter_context(embedded.temporary(data_dir, appendfsync=redis.appendfsync))
        journal = Journal(embedded.resolve(redis.url, data_dir), timeout_s=redis.timeout_s)
        journal.start()
        stack.callback(journal.stop)
        journal.wait_up(redis.timeout_s)
        yield Pushes(journal)
