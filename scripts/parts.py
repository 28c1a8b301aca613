"""Runs test files in several processes at once: those that start servers mostly wait for them.

.venv/bin/python scripts/parts.py [--processes 3] [--files 6] tests/scenarios tests/mailbox …

pytest-xdist cannot do it: its controller does not survive gevent's patches. A part's output is shown when it is done;
the exit status is 1 if any part failed.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
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


def run(part: list[Path], arguments: list[str]) -> tuple[list[Path], int, float, str]:
    """One pytest."""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *arguments, *map(str, part)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    return part, done.returncode, time.monotonic() - began, done.stdout


def main() -> int:
    """Run what was asked for; answers the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--files", type=int, default=6, help="test files per process")
    options, arguments = parser.parse_known_args()
    failed: list[str] = []
    with ThreadPoolExecutor(options.processes) as pool:
        pending = [pool.submit(run, part, arguments) for part in parts_of(files_below(options.paths), options.files)]
        for one in pending:
            part, status, seconds, output = one.result()
            print(f"== {part[0]} and {len(part) - 1} more: {seconds:.0f} s, exit status {status}", flush=True)
            if status:
                failed += [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))] or [
                    str(part[0])
                ]
                print(output, flush=True)
            else:
                print(output.strip().splitlines()[-1], flush=True)
    print("\n".join(failed) if failed else "all parts passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
