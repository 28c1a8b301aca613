"""The sandbox and the push worker's own clients share no frame or token code: they must not agree on one mistake."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SANDBOX = sorted((ROOT / "workers" / "sandbox").rglob("*.py"))
WORKER = sorted((ROOT / "workers" / "push").rglob("*.py"))
# Which libraries speak HTTP/2, sign tokens or encrypt for Web Push, on either side.
FRAMES_AND_TOKENS = {"h2", "hyperframe", "hpack", "jh2", "jwt", "google", "httpx", "requests"}

# `push add-app --sandbox` has to know where the sandbox's keys lie and what they are for: names, no code.
NAMES_ONLY = ("workers.sandbox.material", "workers/push/cli/sandboxed.py")


def imported(files: list[Path]) -> Iterator[tuple[str, str]]:
    """Each imported module with the file that imports it."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            for name in names:
                yield name, str(file.relative_to(ROOT))


def libraries(files: list[Path]) -> set[str]:
    return {name.split(".")[0] for name, _ in imported(files)} & FRAMES_AND_TOKENS


@pytest.mark.parametrize(("files", "other"), [(SANDBOX, "workers.push"), (WORKER, "workers.sandbox")])
def test_neither_imports_the_other(files: list[Path], other: str) -> None:
    foreign = [(name, file) for name, file in imported(files) if name == other or name.startswith(f"{other}.")]

    assert [] == [
        (name, file) for name, file in foreign if not (name.startswith(NAMES_ONLY[0]) and file == NAMES_ONLY[1])
    ]


def test_they_have_no_library_for_frames_or_tokens_in_common() -> None:
    assert SANDBOX
    assert WORKER
    assert libraries(SANDBOX)
    assert set() == libraries(SANDBOX) & libraries(WORKER)


def test_what_both_import_of_this_project_is_the_ground_floor() -> None:
    def own(files: list[Path]) -> set[str]:
        return {".".join(name.split(".")[:2]) for name, _ in imported(files) if name.startswith("gateway.")}

    assert own(SANDBOX) & own(WORKER) <= {
        "gateway.errors",
        "gateway.telemetry",
        "gateway.supervisor",
        "gateway.settings",
    }
