"""`scripts/audit`: it finds what it is there to find."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from gevent.pywsgi import WSGIServer
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
HASH = "--hash=sha256:" + "0" * 64


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("audit", ROOT / "scripts/audit.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["audit"] = module
    spec.loader.exec_module(module)
    return module


audit: Any = _load()


def test_the_locks_are_as_they_have_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert [] == list(audit.offline())


@pytest.mark.parametrize(
    "entry",
    [
        "click>=8", "click", "-e .", "git+https://example.org/click@main", "--index-url https://example.org/simple",
        f"click @ https://example.org/click.whl {HASH}", "click==8.5.1", f"click==8.5.1 {HASH}\nclick==8.5.0 {HASH}",
        f"urllib3-future==2.0 {HASH}", "click==8.5.1 --hash=md5:00",
    ],
)  # fmt: skip
def test_an_entry_that_is_not_one_version_with_hashes_is_a_fault(entry: str) -> None:
    assert audit.read_lock(entry)[1]
    assert ([audit.Locked("click", "8.5.1", frozenset({HASH}))], []) == audit.read_lock(
        f"# why\nclick==8.5.1 \\\n    {HASH}\n    # via x\n"
    )


def test_locks_that_do_not_agree_are_found() -> None:
    one, other = (audit.Locked("click", version, frozenset({HASH})) for version in ("8.5.1", "8.4"))

    assert [] == list(audit.between([one], [one])) == list(audit.disagreements([Requirement("Click>=8.5")], [one]))
    assert 1 == len(list(audit.between([one], [other]))) == len(list(audit.between([one], [])))
    assert 1 == len(list(audit.disagreements([Requirement("click>=8.5")], [other])))
    assert 1 == len(list(audit.disagreements([Requirement("click")], [])))
    assert 1 == len(list(audit.installed([audit.Locked("pytest", "0.1", frozenset())])))


@pytest.mark.parametrize(
    ("licence", "is_fit"),
    [("MIT", True), ("The MIT License", True), ("3-Clause BSD License", True), ("Apache-2.0 OR GPL-3.0", True),
     ("MIT AND PSF-2.0", True), ("LGPL-3.0-only", True), ("GPL-3.0-or-later", False), ("MIT AND GPL-2.0", False),
     ("AGPL-3.0", False), ("nothing", False), ("Proprietary", False)],
)  # fmt: skip
def test_a_licence_is_one_that_was_decided_on(licence: str, is_fit: bool) -> None:
    assert is_fit == audit.is_fit(licence)


def test_a_package_without_a_reason_and_a_reason_without_a_package_are_found() -> None:
    groups = {"run": [Requirement("click>=8"), Requirement("new")]}

    found = list(audit.undocumented(groups, "| `click` | the command line |\n| `old` | gone |\n"))

    assert ["new", "old"] == [fault.partition(":")[0] for fault in found]


@contextmanager
def an_osv(results: list[Any], status: str = "200 OK") -> Iterator[tuple[str, list[Any]]]:
    """Somebody who answers as OSV does; and what it was asked."""
    asked: list[Any] = []

    def serve(environ: dict[str, Any], start: Any) -> list[bytes]:
        asked.append(json.loads(environ["wsgi.input"].read()))
        start(status, [("Content-Type", "application/json")])
        return [json.dumps({"results": results}).encode()]

    server = WSGIServer(("127.0.0.1", 0), serve, log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/querybatch", asked
    finally:
        server.stop()


def test_known_vulnerabilities_are_told_by_version() -> None:
    locked = [audit.Locked("click", "8.5.1", frozenset()), audit.Locked("jinja2", "2.4.1", frozenset())]
    with an_osv([{}, {"vulns": [{"id": "GHSA-462w-v97r-4m45"}, {"id": "PYSEC-2019-217"}]}]) as (address, asked):
        found = list(audit.vulnerabilities(locked, address))

    assert 1 == len(found)
    assert found[0].startswith("jinja2 2.4.1: GHSA-462w-v97r-4m45, PYSEC-2019-217")
    assert {"package": {"name": "jinja2", "ecosystem": "PyPI"}, "version": "2.4.1"} == asked[0]["queries"][1]


def test_without_a_network_it_says_so_and_finds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    with an_osv([], status="503 Service Unavailable") as (address, _):
        assert [] == audit.online(address)
    assert [] == audit.online("http://127.0.0.1:9/v1/querybatch")

    assert 2 == capsys.readouterr().err.count("not looked up")
