"""atheris (libFuzzer for Python), where it can be imported."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from tests.fuzz.fault import keep
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import MOST_S, Target


def is_there() -> bool:
    """Whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def explore(target: Target, *, seconds: int, work: Path, words: Path) -> None:
    """Run until the time is over or a fault is found, which is kept. Never returns: libFuzzer ends the process."""
    import atheris

    fuzzer: Any = atheris
    context = target.begin()
    feed = context.__enter__()

    def one(data: bytes) -> None:
        try:
            feed(data)
        except BaseException:
            print(f"fault: {keep(target, data, 'fault')}", file=sys.stderr, flush=True)
            raise

    mutator = Mutator(
        [file.read_bytes() for file in sorted(work.iterdir())],
        list(target.words()),
        most_bytes=target.most_bytes,
        seed=1,
    )

    def changed(data: bytes, most: int, seed: int) -> bytes:
        # libFuzzer knows bytes; elements and words are ours.
        return mutator.change(data)[:most] if seed % 2 else bytes(fuzzer.Mutate(data, most))

    arguments = [
        sys.argv[0], str(work), f"-max_total_time={seconds}", f"-max_len={target.most_bytes}",
        f"-timeout={int(MOST_S)}", "-rss_limit_mb=2048", f"-artifact_prefix={work.parent}/",
        *([f"-dict={words}"] if words.stat().st_size else []), "-print_final_stats=1",
    ]  # fmt: skip
    fuzzer.Setup(arguments, one, custom_mutator=changed)
    fuzzer.Fuzz()


def dictionary(words: list[bytes], file: Path) -> Path:
    """The words as libFuzzer reads them."""
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in words if word)
    file.write_text("".join(f'"{word}"\n' for word in escaped), encoding="ascii")
    return file
