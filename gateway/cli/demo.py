"""`wakegate demo`: the story of a message that survives everything, told live in the terminal."""

from __future__ import annotations

import json
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from typing import Any

import click
import gevent
from rich.console import Console
from rich.table import Table

from gateway.demo.story import SETTINGS, Step, Story
from gateway.demo.story_stage import a_stage
from gateway.demo.story_verdict import Totals, Transcript, faults, totals
from gateway.errors import WakegateError

LOG_LINES = 40
ENDS_IT = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(slots=True)
class Result:
    """What came of it. `transcript` is missing when a scene could not go on."""

    steps: list[Step] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    transcript: Transcript | None = None
    log: str = ""
    took_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The machine-readable result."""
        seen = self.transcript
        return {
            "ok": not self.faults,
            "faults": self.faults,
            "took_s": round(self.took_s, 3),
            "steps": [asdict(step) for step in self.steps],
            "totals": asdict(totals(seen)) if seen else None,
            "wakeups": [asdict(wakeup) for wakeup in seen.wakeups] if seen else [],
            "fates": dict(seen.fates) if seen else {},
        }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing before.")
def demo(as_json: bool) -> int:
    """Break links, kill the gateway, and count every message: a live demonstration with processes of its own.

    It starts a whole Wakegate in a temporary directory and on free ports, and removes it at the end. Exit status 1 if
    a message was lost, doubled or out of order, or a push missing or late.

    Example: wakegate demo
    """
    reporter = Reporter(Console(highlight=False, soft_wrap=True, quiet=as_json))
    telling = gevent.spawn(_play, reporter)
    # Killed, the greenlet still leaves its with blocks: processes and files go.
    handlers = [gevent.signal_handler(number, telling.kill, block=False) for number in ENDS_IT]
    try:
        result = telling.get()
    finally:
        for handler in handlers:
            handler.cancel()
    if not isinstance(result, Result):
        click.echo("wakegate: stopped; nothing is left behind", err=True)
        return 130
    if as_json:
        click.echo(json.dumps(result.as_json(), ensure_ascii=False))
    else:
        reporter.summary(result)
    if result.faults and result.log:
        click.echo(f"\nThe end of the server's log:\n{result.log}", err=True)
    return 1 if result.faults else 0


def _play(reporter: Reporter) -> Result:
    result, started = Result(steps=reporter.steps), time.monotonic()
    with a_stage(SETTINGS) as stage:
        try:
            result.transcript = Story(stage, reporter).play()
            result.faults = faults(result.transcript)
        except WakegateError as error:
            result.faults = [str(error)]
        if result.faults:
            result.log = "\n".join(stage.log().splitlines()[-LOG_LINES:])
    result.took_s = time.monotonic() - started
    return result


class Reporter:
    """The story's audience: prints steps as they end, and the figures; plain lines where there is no terminal."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._waiting = console.status("")
        self.steps: list[Step] = []

    def begin(self, title: str) -> None:
        """What is going on now, where that can be taken back."""
        if self._console.is_terminal:
            self._waiting.update(title)
            self._waiting.start()

    def end(self, step: Step) -> None:
        """One line of the story."""
        self._waiting.stop()
        self.steps.append(step)
        sign = "[green]ok  [/]" if step.ok else "[red]FAIL[/]"
        self._console.print(f"{sign} {len(self.steps):2}  {step.took_s:6.3f} s  {step.title}")
        if step.detail:
            self._console.print(f"                  {step.detail}", style="dim", markup=False)
        sys.stdout.flush()

    def summary(self, result: Result) -> None:
        """The figures, and what was wrong."""
        if result.transcript is not None:
            self._figures(totals(result.transcript), result.transcript)
        for fault in result.faults:
            self._console.print(f"[red]wrong[/]: {fault}")
        verdict = "[red]Promises were broken.[/]" if result.faults else "[green]Every message once, in order.[/]"
        self._console.print(f"{verdict} {result.took_s:.1f} s in all.")

    def _figures(self, figures: Totals, transcript: Transcript) -> None:
        table = Table(box=None, pad_edge=False, show_header=True)
        for name in ("SENT", "ACCEPTED", "RECEIVED", "LOST", "DOUBLED", "OUT OF ORDER", "PUSHES"):
            table.add_column(name, justify="right")
        table.add_row(*(str(value) for value in asdict(figures).values()))
        self._console.print()
        self._console.print(table)
        self._console.print()
        for wakeup in transcript.wakeups:
            after = ", ".join(f"{ms} ms after the message" for ms in wakeup.pushes_ms) or "none"
            limit = f" (at most {wakeup.within_ms} ms)" if wakeup.wanted else " (none wanted)"
            self._console.print(f"push, {wakeup.name}: {after}{limit}", markup=False)
