"""`scripts/fuzz TARGET [--seconds N]`: look for inputs that break what reads them.

A fault is kept as tests/fuzz/corpora/TARGET/fault-…, and the exit status is 1. What goes where no input went before
is collected in data/fuzz/TARGET; `--keep` puts a few small ones of it into tests/fuzz/corpora/TARGET.

With atheris (`pip install --target DIR atheris`, then PYTHONPATH=DIR) its engine is used, else one of our own.
"""

from __future__ import annotations

from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402 - what is imported before the patch would stay unpatched
import importlib  # noqa: E402
import sys  # noqa: E402
import traceback  # noqa: E402
from contextlib import nullcontext  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

from tests.fuzz import guided, loop  # noqa: E402
from tests.fuzz.fault import keep, name_of, smallest  # noqa: E402
from tests.fuzz.target import Target  # noqa: E402

WORK = Path("data/fuzz")

KEPT_MOST = 40
KEPT_BYTES = 1500


def targets() -> dict[str, Target]:
    """All of them, instrumented if atheris is there."""
    instrumented: Any = nullcontext()
    if guided.is_there():
        instrumented = importlib.import_module("atheris").instrument_imports(include=["gateway", "workers"])
    with instrumented:
        found: dict[str, Target] = importlib.import_module("tests.fuzz.registry").TARGETS
    return found


def main() -> int:
    """Answers the exit status."""
    names = (
        "parser", "sasl", "addresses", "payloads", "negotiation", "session", "component", "service", "answers", "http1",
        "http2", "endpoints", "config",
    )  # fmt: skip
    parser = argparse.ArgumentParser(
        prog="scripts/fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("target", choices=names)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1, help="of the engine of our own")
    parser.add_argument("--own", action="store_true", help="the engine of our own, even if atheris is there")
    parser.add_argument("--keep", action="store_true", help="choose what is kept from what was found so far")
    options = parser.parse_args()
    if options.own or options.keep:
        sys.modules["atheris"] = None  # type: ignore[assignment]
    is_guided = not (options.own or options.keep) and guided.is_there()
    target = (targets() if is_guided else importlib.import_module("tests.fuzz.registry").TARGETS)[options.target]
    work = WORK / target.name / "inputs"
    work.mkdir(parents=True, exist_ok=True)
    if options.keep:
        return choose(target, work)
    for data in (*target.seeds(), *(file.read_bytes() for file in target.kept())):
        (work / name_of(data)).write_bytes(data)
    if is_guided:
        words = guided.dictionary(list(target.words()), work.parent / "words")
        guided.explore(target, seconds=options.seconds, work=work, words=words)
        return 0
    return explore(target, work, options.seconds, options.seed)


def explore(target: Target, work: Path, seconds: int, seed: int) -> int:
    """With the engine of our own."""
    known = [file.read_bytes() for file in sorted(work.iterdir())]
    with target.begin() as feed:
        run = loop.explore(feed, known, target.words(), seconds=seconds, most_bytes=target.most_bytes, seed=seed)
        for data in run.inputs:
            (work / name_of(data)).write_bytes(data)
        print(f"{target.name}: {run.tried} inputs, {run.places} places, {len(run.inputs)} inputs of use")
        if run.fault is None:
            return 0
        data, fault = run.fault
        traceback.print_exception(fault)
        print(f"fault: {keep(target, smallest(feed, data, fault), 'fault')}")
    return 1


def choose(target: Target, work: Path) -> int:
    """Replace what is kept, faults aside."""
    candidates = [file.read_bytes() for file in sorted(work.iterdir())]
    with target.begin() as feed:
        found = loop.chosen(feed, candidates, most=KEPT_MOST, most_bytes=KEPT_BYTES)
    for file in target.corpus.glob("seed-*"):
        file.unlink()
    for data in found:
        keep(target, data, "seed")
    print(f"{target.name}: {len(found)} of {len(candidates)} inputs kept")
    return 0


if __name__ == "__main__":
    sys.exit(main())
