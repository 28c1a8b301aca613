"""Runs test files in several processes at once: those that start servers mostly wait for them.

.venv/bin/python scripts/parts.py [--processes 3] [--files 6] tests/scenarios tests/mailbox …

pytest-xdist cannot do it: its controller does not survive gevent's patches. A part's output is shown when it is done;
the exit status is 1 if any part failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

SLOWEST_FIRST = (
    "property", "chaos", "chaos_lab", "cluster", "sentinel", "nodes", "limits", "hostile", "interop", "integration",
    "scenarios",
)  # fmt: skip
"""what takes longest must not begin last"""


def files_below(paths: list[str]) -> list[Path]:
    """All test files, the directories that take long in front."""
    found = [
        file for path in paths for file in ([Path(path)] if path.endswith(".py") else Path(path).glob("**/test_*.py"))
    ]
    ranks = {name: rank for rank, name in enumerate(SLOWEST_FIRST)}
    return sorted(found, key=lambda file: (ranks.get(file.parent.name, len(ranks)), str(file)))


def parts_of(files: list[Path], most: int) -> list[list[Path]]:
    """Files of one directory together, since they share its fixtures, so many at a time; chaos one by one."""
    parts: list[list[Path]] = []
    for file in files:
        last = parts[-1] if parts else []
        if last and last[0].parent == file.parent and len(last) < (1 if file.parent.name == "chaos" else most):
            last.append(file)
        else:
            parts.append([file])
    return parts


@dataclass(frozen=True)
class Done:
    """A pytest that has ended: seconds on the clock and of CPU, those of the processes included that it started."""

    status: int
    took_s: float
    cpu_s: float
    output: str


def run(part: list[Path], arguments: list[str]) -> Done:
    """One pytest."""
    began = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *arguments, *map(str, part)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Done(process.returncode, time.monotonic() - began, used.ru_utime + used.ru_stime, output)


def main() -> int:
    """Run what was asked for; answers the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--files", type=int, default=6, help="test files per process")
    options, arguments = parser.parse_known_args()
    failed: list[str] = []
    with ThreadPoolExecutor(options.processes) as pool:
        parts = parts_of(files_below(options.paths), options.files)
        pending = [pool.submit(run, part, arguments) for part in parts]
        for part, one in zip(parts, pending, strict=True):
            done = one.result()
            cost = f"{done.took_s:.0f} s, {done.cpu_s:.0f} s of CPU"
            print(f"== {part[0]} and {len(part) - 1} more: {cost}, exit status {done.status}", flush=True)
            if done.status:
                failed += [line for line in done.output.splitlines() if line.startswith(("FAILED", "ERROR"))] or [
                    str(part[0])
                ]
                print(done.output, flush=True)
            else:
                print(done.output.strip().splitlines()[-1], flush=True)
    print("\n".join(failed) if failed else "all parts passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
