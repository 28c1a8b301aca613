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
from gateway.mailbox import embedded, keys, nodes
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.journal import Journal
from gateway.mailbox.pushes import Pushes
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ServerSettings


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
        found = collect(journal, time.time())
    click.echo(json.dumps(found, ensure_ascii=False) if as_json else as_text(found))


def collect(journal: Journal, now: float) -> dict[str, Any]:
    """The status as JSON has it; `now` in seconds since 1970. Raises StoreError."""
    census = Accounts(journal).census()
    dead = nodes.declared_dead(journal)
    known = [
        {"node": node, "heartbeats": count, "sessions": _sessions_of(journal, node), "declared_dead": node in dead}
        for node, count in sorted(nodes.heartbeats(journal).items())
    ]
    oldest = max(0.0, now - census.oldest_event_ms / 1000) if census.oldest_event_ms else None
    return {
        "nodes": known,
        "accounts": census.accounts,
        "sessions": {"live": sum(node["sessions"] for node in known), "sleeping": census.sleeping},
        "outbox": census.outbox,
        "fates": dict(sorted(census.fates.items())),
        "push": {
            "events_waiting": census.events,
            "oldest_event_s": None if oldest is None else round(oldest, 1),
            "retries": census.retries,
            "outcomes": dict(sorted(Pushes(journal).outcomes().items())),
        },
    }


def as_text(found: dict[str, Any]) -> str:
    """The status for a reader."""
    push, sessions = found["push"], found["sessions"]
    lines = [f"accounts         {found['accounts']}"]
    lines.append(f"sessions         {sessions['live']} live, {sessions['sleeping']} sleeping")
    lines.extend(
        f"node             {node['node']}: {node['sessions']} sessions{', died' if node['declared_dead'] else ''}"
        for node in found["nodes"]
    )
    lines.append(f"fates            {_counts(found['fates'])}")
    oldest = "" if push["oldest_event_s"] is None else f", the oldest for {push['oldest_event_s']} s"
    lines.append(f"push events      {push['events_waiting']} waiting{oldest}; {push['retries']} to be tried again")
    lines.append(f"push outcomes    {_counts(push['outcomes'])}")
    lines.append(f"outbox           {found['outbox']} stanzas")
    return "\n".join(lines)


def _counts(counted: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counted.items()) or "none yet"


def _sessions_of(journal: Journal, node: str) -> int:
    buckets = (keys.bucket_prefix(bucket) for bucket in range(keys.BUCKETS))
    return sum(journal.call("SCARD", keys.key(bucket, "owned", node)) for bucket in buckets)
