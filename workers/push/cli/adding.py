"""`wakegate push add-app`."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway.configuration import DEFAULT_FILE, files, sections
from gateway.settings import ConfigError, file_faults, load, warnings
from workers.push.cli.answers import CREDENTIALS, WEBPUSH, Answers
from workers.push.cli.sandboxed import values_for
from workers.push.cli.verdict import judge
from workers.push.configure import placing, section
from workers.push.credential import CredentialError
from workers.push.settings import AVAILABLE, CONTENTS, AppSettings, PushSettings

F = TypeVar("F", bound=Callable[..., Any])

_FLAGS = {
    "--provider": (click.Choice(AVAILABLE), "Who delivers."),
    "--topic": (str, "APNs: the app's bundle ID."),
    "--team-id": (str, "APNs with a key: your team, ten characters."),
    "--key-id": (str, "APNs with a key: ten characters; guessed from the name AuthKey_XXXXXXXXXX.p8."),
    "--key-file": (str, "APNs: the .p8 file."),
    "--certificate-file": (str, "APNs without a key: PEM file with certificate and private key."),
    "--environment": (click.Choice(["production", "sandbox", "auto"]), "APNs: where device tokens come from."),
    "--service-account-file": (str, "FCM: the JSON file of a service account."),
    "--vapid-key-file": (str, "Web Push: the key that signs; without it one is made."),
    "--vapid-subject": (str, "Web Push: mailto: or https: address under which push services reach you."),
    "--service": (str, "App server: its JID."),
    "--content": (click.Choice(CONTENTS), "The most that the provider is told."),
    "--endpoint": (str, "Another address than the vendor's, as the sandbox'."),
    "--sandbox-endpoint": (str, "APNs: the same for the sandbox environment."),
    "--ca-file": (str, "PEM file with the authorities to trust for --endpoint."),
}


def _flags(command: F) -> F:
    for name, (kind, text) in reversed(_FLAGS.items()):
        command = click.option(name, type=kind, help=text)(command)
    return command


@click.command(name="add-app")
@click.argument("name")
@_flags
@click.option("--allow-private", is_flag=True, help="Web Push: endpoints may be in private networks.")
@click.option(
    "--sandbox", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="What is not given is that of `wakegate sandbox --data-dir DIR`.",
)  # fmt: skip
@click.option("--yes", is_flag=True, help="Ask nothing: what is missing is wrong use.")
@click.option("--offline", is_flag=True, help="Do not ask the provider whether it takes the credential.")
@click.option("--replace", is_flag=True, help="Change an app that is there; what is not given stays as it was.")
@click.option(
    "--config", "-c", type=click.Path(dir_okay=False, path_type=Path), multiple=True,
    help=f"Settings; the last file is written, and made if need be. Default: {DEFAULT_FILE}.",
)  # fmt: skip
def add_app(
    name: str,
    sandbox: Path | None,
    yes: bool,
    offline: bool,
    replace: bool,
    config: tuple[Path, ...],
    **given: str | bool | None,
) -> int:
    """Put an app into the configuration as [push.apps.NAME]: judge its credential, copy it to a safe place, write.

    What is not given is asked. Credentials are copied to `credentials` beside the configuration, for its owner only.
    Nothing is written unless everything is right.

    Example: wakegate push add-app chat-ios --provider apns --topic org.example.chat --key-file AuthKey_ABC1234567.p8
    """
    if not section.is_name(name):
        raise click.UsageError(f"NAME is made of letters, digits, _ and -: got {name!r}")
    if sandbox is not None:
        defaults = values_for(str(given["provider"] or ""), sandbox)
        if given["certificate_file"]:
            for taken in ("key_file", "key_id", "team_id"):  # the certificate takes the place of the sandbox' key
                defaults.pop(taken, None)
        given = {**defaults, **{flag: value for flag, value in given.items() if value}}
    all_files = files(config) or (DEFAULT_FILE,)
    file, path = all_files[-1], ("push", "apps", name)
    former = _former(all_files, name, replace=replace)
    text = _text_of(file)
    fields = _in_order(Answers.of(given, former, asks=not yes).complete())
    with _vapid_key(name, fields) as is_new:
        _judge(name, fields, offline=offline)
        section.with_section(text, path, fields, replace=replace)  # or it fails before anything is copied
        if not yes:
            click.confirm(f"Write [push.apps.{name}] to {file}?", default=True, abort=True)
        _place(file, name, fields, replace=replace)
    section.write(file, section.with_section(text, path, _in_order(fields), replace=replace))
    click.echo(f"{file}: [push.apps.{name}] is written")
    if is_new:
        click.echo(f"the new VAPID key is {fields['vapid_key_file']}: keep a copy, every subscription is bound to it")
    return _checked(all_files, name)


def _in_order(fields: dict[str, Any]) -> dict[str, Any]:
    """As the reference has them."""
    return {it.name: fields[it.name] for it in dataclasses.fields(AppSettings) if it.name in fields}


def _former(all_files: tuple[Path, ...], name: str, *, replace: bool) -> dict[str, Any]:
    """What the section holds now. Raises ClickException if it is not to be changed, or not here, or is not right."""
    path = ("push", "apps", name)
    for other in all_files[:-1]:
        if section.held(_text_of(other), path):
            raise click.ClickException(f"[push.apps.{name}] is in {other} already: name that file as the last one")
    former = section.held(_text_of(all_files[-1]), path)
    if former and not replace:
        raise click.ClickException(f"[push.apps.{name}] is in {all_files[-1]} already: --replace changes it")
    unknown = set(former) - {setting.name for setting in dataclasses.fields(AppSettings)}
    if unknown:
        raise click.ClickException(f"[push.apps.{name}] has settings that are not known: {', '.join(sorted(unknown))}")
    return former


def _text_of(file: Path) -> str:
    try:
        with file.open(encoding="utf-8", newline="") as source:  # line ends stay as they are
            return source.read()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


@contextmanager
def _vapid_key(name: str, fields: dict[str, Any]) -> Iterator[bool]:
    """A key for Web Push, if none is there; kept beside nothing else until everything is known to be right. Its public
    half is written to the section in any case: clients are told that.
    """
    if fields["provider"] != WEBPUSH:
        yield False
        return
    from workers.push.providers.webpush.keys import new_key, public_key

    if fields.get("vapid_key_file"):
        with suppress(CredentialError):  # what is wrong with the file, the judge says
            fields["vapid_public_key"] = public_key(fields["vapid_key_file"])
        yield False
        return
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, f"vapid-{name}.pem")
        fields["vapid_public_key"] = new_key(path)
        fields["vapid_key_file"] = str(path)
        yield True


def _judge(name: str, fields: dict[str, Any], *, offline: bool) -> None:
    """Say what there is to say. Raises ClickException if the app cannot work."""
    apps = PushSettings(apps={name: AppSettings(**fields)})
    verdict = judge(apps, name, offline=offline, deep=True)
    for line in verdict.lines():
        click.echo(line, err=not verdict.ok)
    if not verdict.ok and not verdict.unasked:
        raise click.ClickException("nothing was written")
    if verdict.unasked:
        click.echo(f"The provider cannot be asked now, so its word is missing; later: wakegate push check {name}")


def _place(file: Path, name: str, fields: dict[str, Any], *, replace: bool) -> None:
    """Copy what is secret, and let the fields name the copies: relative to the working directory, if `file` is."""
    directory = file.parent / placing.DIRECTORY
    for setting in CREDENTIALS:
        if fields.get(setting):
            fields[setting] = str(placing.place(Path(fields[setting]), directory, app=name, replace=replace))


def _checked(all_files: tuple[Path, ...], name: str) -> int:
    """What `config check` says of the whole, and what comes next."""
    try:
        settings = load(sections(), files=all_files, environ=os.environ)
        faults = list(file_faults(settings))
        for warning in warnings(settings):
            click.echo(f"warning: {warning}", err=True)
    except ConfigError as error:
        faults = list(error.faults)
    for fault in faults:
        click.echo(f"{all_files[-1]}: {fault}", err=True)
    if faults:
        return 1
    click.echo(f"{all_files[-1]}: no faults found")
    click.echo("Next:")
    click.echo("- if Wakegate runs: wakegate reload (or SIGHUP to each gateway and push worker), no restart is needed")
    click.echo(f"- wakegate push test {name} DEVICE_TOKEN")
    return 0
