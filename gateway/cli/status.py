"""`wakegate status`: what the store knows, on one page."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import click

from gateway.cli.store import connect
from gateway.configuration import config_option, read
from gateway.errors import WakegateError
from gateway.mailbox import embedded
from gateway.mailbox.memory import REFUSES
from gateway.mailbox.overview import collect
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ComponentsSettings, ServerSettings


class NotRunningError(WakegateError):
    """There is nothing whose status could be shown."""

    metric = "not_running"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@config_option
def status(as_json: bool, config: tuple[Path, ...]) -> None:
    """Show nodes, sessions, queues, push outcomes and the oldest waiting event.

    Example: wakegate status --json
    """
    settings = read(config)
    data_dir = settings.of(ServerSettings).data_dir
    if settings.of(RedisSettings).url == embedded.EMBEDDED and not embedded.is_answering(data_dir):
        raise NotRunningError(f"Wakegate does not run on {data_dir}: start it with `wakegate up`, or give its --config")
    with connect(settings) as journal:
        found = collect(journal, time.time(), settings.of(ComponentsSettings).domains).to_json()
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else as_text(found))


def as_text(found: dict[str, Any]) -> str:
    """The status for a reader."""
    push, sessions = found["push"], found["sessions"]
    lines = [f"accounts         {found['accounts']}"]
    lines.append(f"sessions         {sessions['live']} live, {sessions['sleeping']} sleeping")
    lines.extend(
        f"node             {node['node']}: {node['sessions']} sessions{', died' if node['declared_dead'] else ''}"
        for node in found["nodes"]
    )
    lines.append(f"messages         {found['messages_waiting']} waiting")
    lines.append(f"fates            {_counts(found['fates'])}")
    if found["lost"]["sessions"]:
        lines.append(f"LOST BY REDIS    {_counts(found['lost'])}: docs/durability.md")
    oldest = "" if push["oldest_event_s"] is None else f", the oldest for {push['oldest_event_s']} s"
    lines.append(f"push events      {push['events_waiting']} waiting{oldest}; {push['retries']} to be tried again")
    lines.append(f"dead letters     {push['dead_letters']}")
    events, ended = push["events"], push["pushes"]
    lines.append(f"push raised      {events['raised']} events, {events['coalesced']} messages joined one")
    lines.append(f"push claimed     {events['claimed']}; cancelled: {_counts(events['cancelled'])}")
    lines.append(f"push outcomes    {_counts(ended)}")
    lines.append(f"push tries       {_counts(push['tries'])}")
    lines.extend(
        f"push worker      {name}: {_credential(found)}"
        for name, worker in push["workers"].items()
        for found in worker["credentials"]
    )
    lines.append(f"outbox           {found['outbox']} stanzas")
    archive = found["archive"]
    ended = "no archiver has run yet" if archive["round_s"] is None else f"last round {archive['round_s']} s ago"
    lines.append(f"archives         {archive['accounts']}; {archive['moved']} entries moved to SQL, {ended}")
    lines.extend(f"redis            {server['server']}: {_memory(server)}" for server in found["redis"])
    lines.extend(
        f"component        {domain}: {'connected' if is_there else 'not connected'}"
        for domain, is_there in found["components"].items()
    )
    lines.extend(f"load             {node}: {_load(report)}" for node, report in found["limits"].items())
    lines.extend(
        f"limits           {node}: {_counts(report['hits'])}"
        for node, report in found["limits"].items()
        if report["hits"]
    )
    return "\n".join(lines)


def _memory(server: dict[str, Any]) -> str:
    """How full a Redis server is."""
    used, limit = server["used_bytes"] / 2**20, server["limit_bytes"] / 2**20
    if not limit:
        return f"{used:.0f} MiB, no limit"
    danger = "" if server["policy"] == REFUSES else f"; THROWS DATA AWAY when full ({server['policy']})"
    return f"{used:.0f} of {limit:.0f} MiB{danger}"


def _load(report: dict[str, Any]) -> str:
    """How busy a gateway is."""
    busy = ", too busy for new sessions" if report["is_busy"] else ""
    return (
        f"{report['connections']} connections, {report['unauthenticated']} not logged in, {report['queued']} queued; "
        f"{report['lag_ms']} ms late{busy}"
    )


def _counts(counted: dict[str, Any]) -> str:
    """`delivered 3, skipped muted 2`: what is 0 is left out."""
    flat = {
        f"{name} {why}".strip(): n
        for name, count in counted.items()
        for why, n in (count if isinstance(count, dict) else {"": count}).items()
    }
    return ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in flat.items() if count) or "none yet"


def _credential(found: dict[str, Any]) -> str:
    """How a worker stands with a provider."""
    states = " ".join(f"{count} {state}" for state, count in found["breakers"].items() if state != "closed")
    trouble = f", breaker: {states} ({found['why']})" if states else ""
    age = "" if found["token_age_s"] is None else f", token {found['token_age_s'] / 60:.0f} min old"
    return f"{', '.join(found['apps'])} ({found['provider']}): {found['connections']} connections{age}{trouble}"
