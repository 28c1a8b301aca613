"""`wakegate user`: accounts. Each command works whether the server runs or not."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

import click
from rich.console import Console
from rich.table import Table

from gateway.cli.bulk import import_accounts
from gateway.cli.store import open_store
from gateway.configuration import config_option, read
from gateway.enrolment import RegistrationSettings, invite_uri
from gateway.errors import WakegateError
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.administration import Administration
from gateway.mailbox.invites import Invites
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import SessionLine
from gateway.mailbox.reports import Reports
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.sections import ServerSettings
from gateway.settings import Settings
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.sasl.credentials import derive

MOST_OPERATOR_INVITES = 10_000
"""invitations made on the command line that were not used yet; the oldest goes"""


class AccountError(WakegateError):
    """The account cannot be made, changed or found."""

    metric = "account"


def bare_jid(text: str, settings: Settings) -> JID:
    """The account's address. Raises AccountError if it is none, or not one of this server's."""
    try:
        jid = JID.parse(text)
    except JIDError as error:
        raise AccountError(f"{text!r} is no address: {error}") from error
    if not jid.local or jid.resource:
        raise AccountError(f"{text!r} is no account: localpart@domain is needed")
    domains = settings.of(ServerSettings).domains
    if jid.domain not in domains:
        raise AccountError(f"{jid.domain} is not served here: add it to domains in [server], now {', '.join(domains)}")
    return jid


def _password(password: str | None, from_stdin: bool) -> str:
    if from_stdin == (password is not None):
        raise click.UsageError("give the password by --password-stdin or by --password")
    return sys.stdin.readline().rstrip("\r\n") if password is None else password


def password_options(command: click.decorators.FC) -> click.decorators.FC:
    """click: the two ways to give a password."""
    command = click.option("--password", metavar="P", help="The password; others can see it in the process list.")(
        command
    )
    return click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")(
        command
    )


@click.group()
def user() -> None:
    """Make, change, list and delete accounts, whether the server runs or not."""


@user.command()
@click.argument("jid")
@password_options
@config_option
def add(jid: str, password: str | None, password_stdin: bool, config: tuple[Path, ...]) -> None:
    """Make an account.

    Example: wakegate user add romeo@localhost --password-stdin < password.txt
    """
    settings = read(config)
    user = str(bare_jid(jid, settings))
    credentials = derive(_password(password, password_stdin), salt=os.urandom(16))
    with open_store(settings) as journal:
        if not Accounts(journal).create(user, credentials.to_fields()):
            raise AccountError(f"{user} exists already: wakegate user password {user} sets another password")
    click.echo(f"{user}: account made")


@user.command(name="password")
@click.argument("jid")
@password_options
@config_option
def set_password(jid: str, password: str | None, password_stdin: bool, config: tuple[Path, ...]) -> None:
    """Set another password.

    Example: wakegate user password romeo@localhost --password-stdin < password.txt
    """
    settings = read(config)
    user = str(bare_jid(jid, settings))
    credentials = derive(_password(password, password_stdin), salt=os.urandom(16))
    with open_store(settings) as journal:
        if not Accounts(journal).set_credentials(user, credentials.to_fields()):
            raise AccountError(f"{user} does not exist: wakegate user add {user} makes it")
    click.echo(f"{user}: password set")


@user.command()
@click.argument("jid")
@config_option
def delete(jid: str, config: tuple[Path, ...]) -> None:
    """Delete an account with everything in its mailbox; its connections are closed.

    Example: wakegate user delete romeo@localhost
    """
    settings = read(config)
    user = str(bare_jid(jid, settings))
    with open_store(settings) as journal:
        if not Accounts(journal).erase(user):
            raise AccountError(f"{user} does not exist: wakegate user list shows who does")
    click.echo(f"{user}: deleted")


@user.command()
@click.argument("jid")
@config_option
def disable(jid: str, config: tuple[Path, ...]) -> None:
    """Shut an account out: nobody can log in or write to it, its connections are closed, what it holds stays.

    Example: wakegate user disable romeo@localhost
    """
    settings = read(config)
    user = str(bare_jid(jid, settings))
    with open_store(settings) as journal:
        if _administration(settings, journal).disable(user) is None:
            raise AccountError(f"{user} does not exist: wakegate user list shows who does")
    click.echo(f"{user}: disabled")


@user.command()
@click.argument("jid")
@config_option
def enable(jid: str, config: tuple[Path, ...]) -> None:
    """Let a disabled account in again.

    Example: wakegate user enable romeo@localhost
    """
    settings = read(config)
    user = str(bare_jid(jid, settings))
    with open_store(settings) as journal:
        if not _administration(settings, journal).reenable(user):
            raise AccountError(f"{user} does not exist: wakegate user list shows who does")
    click.echo(f"{user}: enabled")


def _administration(settings: Settings, journal: Journal) -> Administration:
    smacks, offline = settings.of(SmacksSettings), settings.of(OfflineSettings)
    return Administration(Mailbox(journal, node="", smacks=smacks, offline=offline))


@user.command()
@click.option("--name", metavar="NAME", help="The user name of the account to be made; without it, the guest chooses.")
@click.option("--domain", metavar="DOMAIN", help="The account's domain; without it, the first one of [server].")
@config_option
def invite(name: str | None, domain: str | None, config: tuple[Path, ...]) -> None:
    """Invite somebody to make an account: prints an address (XEP-0445) that can be used once.

    Example: wakegate user invite --name romeo
    """
    settings = read(config)
    rules = settings.of(RegistrationSettings)
    if rules.invites == "nobody":
        raise AccountError('invitations are switched off: set invites in [registration] to "admins" or "users"')
    guest = bare_jid(f"{name or 'guest'}@{domain or settings.of(ServerSettings).domains[0]}", settings)
    with open_store(settings) as journal:
        token = Invites(journal).make(
            "", name=str(guest) if name else "", lifetime_s=rules.invite_lifetime, most=MOST_OPERATOR_INVITES
        )
    if token is None:
        raise AccountError(f"{guest} exists already, or somebody else has been invited by that name")
    click.echo(invite_uri(token, guest if name else JID("", guest.domain), is_contact=False))


@user.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@config_option
def list_accounts(as_json: bool, config: tuple[Path, ...]) -> None:
    """List all accounts.

    Example: wakegate user list --json
    """
    with open_store(read(config)) as journal:
        found = sorted(Accounts(journal).list())
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else "\n".join(found), nl=as_json or bool(found))


@user.command()
@click.argument("jid")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@config_option
def sessions(jid: str, as_json: bool, config: tuple[Path, ...]) -> None:
    """Show an account's sessions, live and sleeping, and what waits for them.

    Example: wakegate user sessions romeo@localhost
    """
    settings = read(config)
    user = str(bare_jid(jid, settings))
    with open_store(settings) as journal:
        accounts = Accounts(journal)
        if accounts.credentials(user) is None:
            raise AccountError(f"{user} does not exist: wakegate user list shows who does")
        found = accounts.sessions(user)
    if as_json:
        click.echo(json.dumps([_as_dict(line) for line in found], ensure_ascii=False))
    elif found:
        _print_sessions(found)
    else:
        click.echo(f"{user} has no session")


@user.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
@click.option("--most", default=100, show_default=True, type=click.IntRange(1, 10_000), help="The newest, so many.")
@config_option
def reports(as_json: bool, most: int, config: tuple[Path, ...]) -> None:
    """Show who told the operator of whom (XEP-0377: spam and abuse), the newest last.

    Example: wakegate user reports --json
    """
    with open_store(read(config)) as journal:
        found = Reports(journal).newest(most)
    if as_json:
        click.echo(json.dumps([asdict(report) for report in found], ensure_ascii=False))
        return
    for report in found:
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(report.at_ms / 1000))
        what = report.reason.rpartition(":")[2]
        click.echo(f"{when}  {report.by} reports {report.about}: {what}, {report.stanzas} stanzas named")


@user.command(name="import")
@click.argument("file", type=click.File("r", encoding="utf-8", errors="replace"))  # U+FFFD is in no JID, no password
@config_option
def import_file(file: TextIO, config: tuple[Path, ...]) -> int:
    """Make an account for each line `localpart@domain:password` of FILE ("-" is standard input).

    Accounts that exist stay as they are. Lines that are wrong are reported, all others are imported.

    All cores hash passwords, which is what takes the time: 10,000 accounts cost 25 s of CPU, shared by them.

    Example: wakegate user import accounts.txt
    """
    settings = read(config)

    def checked(text: str) -> str:
        return str(bare_jid(text, settings))

    with open_store(settings) as journal:
        result = import_accounts(file, Accounts(journal), checked)
    for fault in result.faults:
        click.echo(f"wakegate: {fault}", err=True)
    if result.wrong > len(result.faults):
        click.echo(f"wakegate: and {result.wrong - len(result.faults)} more lines that are wrong", err=True)
    click.echo(f"{result.made} accounts made, {result.existed} existed, {result.wrong} lines wrong")
    return 1 if result.wrong else 0


def _as_dict(line: SessionLine) -> dict[str, str | int | bool | None]:
    return {name: getattr(line, name) for name in SessionLine.__slots__}


def _print_sessions(lines: list[SessionLine]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("RESOURCE", "STATE", "NODE", "PRIORITY", "UNACKED", "WAITING", "PUSH", "EXPIRES"):
        table.add_column(column)
    now_ms = time.time() * 1000
    for line in lines:
        expires = f"in {max(0, line.deadline - now_ms) / 1000:.0f} s" if line.deadline else "-"
        priority = "-" if line.priority is None else str(line.priority)
        unacked = str(line.tail - line.acked)
        push = "yes" if line.has_push else "no"
        table.add_row(line.resource, line.state, line.node or "-", priority, unacked, str(line.backlog), push, expires)
    Console(soft_wrap=True).print(table)
