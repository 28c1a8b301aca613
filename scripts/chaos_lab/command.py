"""run, check and plant."""

from __future__ import annotations

import argparse
import logging
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from scripts.chaos_lab import history
from scripts.chaos_lab.checker import Violation, violations
from scripts.chaos_lab.clocks import NoFaketime
from scripts.chaos_lab.ledger import Ledger
from scripts.chaos_lab.plan import VICTIMS, Plan
from scripts.chaos_lab.report import figures, story, summary
from scripts.chaos_lab.run import Lab
from scripts.chaos_lab.tree import BUGS, CannotPlant

PLANTED = {
    "gateways": 3,
    "push": 1,
    "sweepers": 1,
    "archivers": 0,
    "accounts": 40,
    "messages": 4000,
    "kills": 25,
    "minutes": 0.75,
    "settle_s": 20.0,
}
"""what a run of `plant` is if nothing else is asked for: enough for each bug within two minutes"""

TOLD = 5
"""so many breaches are told in full, of different rules first"""


def main(words: Sequence[str] | None = None) -> int:
    """Answers the exit status: 0 nothing is wrong, 1 a rule was broken, 2 the run itself failed."""
    parser, planted = _parser()
    options = parser.parse_args(words)
    if options.command == "plant":
        planted.set_defaults(**BUGS[options.bug].strikes)
        options = parser.parse_args(words)
    if options.command == "check":
        return 1 if check(Path(options.history)) else 0
    status = run(_plan(options))
    if options.command == "plant":
        print(f"{options.bug}: {BUGS[options.bug].what}: {'found' if status == 1 else 'NOT FOUND'}")
        return {0: 1, 1: 0}.get(status, status)
    return status


def run(plan: Plan) -> int:
    """One run, and its check."""
    logging.getLogger("gateway").setLevel(logging.ERROR)  # of this process, which also asks the store now and then
    print(plan.command, flush=True)
    began = time.monotonic()
    try:
        lab = Lab(plan, lambda line: print(f"  {line}", flush=True))
        file = lab.run()
    except (TimeoutError, CannotPlant, NoFaketime) as late:
        print(f"the run failed: {late}", file=sys.stderr)
        return 2
    print(f"run         {time.monotonic() - began:.0f} s, history: {file}", flush=True)
    for failure in lab.failures[:10]:
        print(f"logged      {failure}")
    found = check(file)
    if found:
        print(f"To repeat it: {plan.command}\nTo look again: scripts/chaos check {file}")
        return 1
    return 0


def check(file: Path) -> list[Violation]:
    """Check a history and print what comes of it; the breaches."""
    ledger = Ledger.of(history.read(file))
    found = list(violations(ledger))
    if ledger.counted is None:
        found.append(Violation("unsettled", 0, 0, "the history has no end: the run was broken off"))
    for line in figures(ledger):
        print(line)
    for line in summary(found):
        print(line)
    for violation in _examples(found):
        print()
        for line in story(file, ledger, violation):
            print(line)
    print("Every rule was kept." if not found else f"\n{len(found)} breaches (seed {ledger.run.seed})", flush=True)
    return found


def _examples(found: Sequence[Violation]) -> list[Violation]:
    """One of each rule, then others."""
    firsts = list({violation.rule: violation for violation in reversed(found)}.values())
    return (firsts + [violation for violation in found if violation not in firsts])[:TOLD]


def _plan(options: argparse.Namespace) -> Plan:
    directory = Path(options.directory or tempfile.mkdtemp(prefix="wakegate-chaos-")).absolute()
    if options.directory and (directory / "data").exists():
        shutil.rmtree(directory / "data")
    names = {field.name for field in fields(Plan)} - {"directory"}
    chosen = {name: value for name, value in vars(options).items() if name in names}
    return Plan(directory=directory, **{**chosen, "victims": tuple(options.victims)})


def _parser() -> tuple[argparse.ArgumentParser, argparse.ArgumentParser]:
    """The whole, and that of `plant`."""
    parser = argparse.ArgumentParser(prog="scripts/chaos", description="See docs/chaos.md.")
    commands = parser.add_subparsers(dest="command", required=True)
    again = commands.add_parser("check", help="check the history of a run once more")
    again.add_argument("history")
    new = commands.add_parser("run", help="start a cluster, let people talk, strike, and check")
    _add_run_options(new)
    planted = commands.add_parser("plant", help="see whether a bug is found: status 0 if it is")
    planted.add_argument("bug", choices=list(BUGS))
    _add_run_options(planted)
    planted.set_defaults(**PLANTED)
    return parser, planted


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    default = Plan(Path())
    parser.add_argument("--redis", choices=("single", "sentinel", "cluster"), default=default.redis)
    parser.add_argument("--appendfsync", choices=("always", "everysec", "no"), default=default.appendfsync)
    for name in ("gateways", "push", "sweepers", "archivers", "accounts", "messages", "kills"):
        parser.add_argument(f"--{name}", type=int, default=getattr(default, name))
    parser.add_argument("--minutes", type=float, default=default.minutes, help="for so long they talk")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--settle-s", type=float, default=default.settle_s, help="time for everything to be done")
    parser.add_argument("--wait-replicas", type=int, default=default.wait_replicas, help="with Sentinel or a cluster")
    parser.add_argument("--push-grace-s", type=float, default=default.push_grace_s)
    parser.add_argument("--victims", nargs="+", choices=list(VICTIMS), default=default.victims, help="who is struck")
    parser.add_argument("--pauses", type=int, default=default.pauses, help="to ten kills about so many pauses")
    parser.add_argument(
        "--clocks", type=int, default=default.clocks, help="to ten kills, about so many clocks jump (needs faketime)"
    )
    parser.add_argument("--unpaused", action="store_true", help="no process is stopped for a while (SIGSTOP)")
    parser.add_argument("--source", type=Path, default=default.source, help="run the code below this directory")
    parser.add_argument("--directory", help="keep everything there; default: a new temporary directory")
