"""What this project depends on, checked: `scripts/audit`, and as a part of `scripts/lint`.

Without a network: every package is locked to one version with its hashes, from nowhere but the index; both locks agree
with each other and with setup.cfg; what is installed is what is locked; every licence is one that we can live with; and
docs/dependencies.md says of every package that we asked for what it is for. With `--online` the locked versions are
looked up in OSV. That is no part of CI: a new entry there, or a network that is away, must not stop a change that has
nothing to do with it.
"""

from __future__ import annotations

import argparse
import configparser
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

OSV = "https://api.osv.dev/v1/querybatch"
OSV_S = 20.0

DOCUMENT = Path("docs/dependencies.md")

PERMISSIVE = ("Apache", "BSD", "ISC", "MIT", "PSF", "Python Software Foundation", "ZPL")
"""Beginnings of licences that ask for no more than to be named."""

WEAK = ("MPL-2.0", "Mozilla Public License 2.0", "LGPL", "GNU Lesser General Public License")
"""Those that are about changes to the package itself, which is imported as it is."""

BANNED = {"urllib3-future": "overwrites urllib3", "niquests": "brings urllib3-future"}


@dataclass(frozen=True)
class Locked:
    """One entry of a lock."""

    name: str
    version: str
    hashes: frozenset[str]


def read_lock(text: str) -> tuple[list[Locked], list[str]]:
    """The entries, and what stands there and is none."""
    joined = re.sub(r"\\\n\s*", " ", text)
    found: list[Locked] = []
    faults: list[str] = []
    for line in joined.splitlines():
        entry = line.partition(" #")[0].strip()
        if not entry or entry.startswith("#"):
            continue
        pinned = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!+-]+)((?: +--hash=sha256:[0-9a-f]{64})*)", entry)
        if pinned is None:
            faults.append(f"no version with hashes, from the index: {entry[:100]}")
            continue
        hashes = frozenset(pinned[3].split())
        found.append(Locked(canonicalize_name(pinned[1]), pinned[2], hashes))
        if not hashes:
            faults.append(f"{pinned[1]}: without a hash")
    names = [each.name for each in found]
    faults += [f"{name}: more than once" for name in sorted({name for name in names if names.count(name) > 1})]
    faults += [f"{name}: {BANNED[name]}" for name in names if name in BANNED]
    return found, faults


def asked_for(text: str) -> dict[str, list[Requirement]]:
    """setup.cfg -> what runs, and what each extra adds."""
    parser = configparser.ConfigParser()
    parser.read_string(text)
    groups = {"run": parser["options"]["install_requires"], **parser["options.extras_require"]}
    return {
        name: [Requirement(line) for line in lines.splitlines() if line.strip() and not line.startswith("#")]
        for name, lines in groups.items()
    }


def disagreements(wanted: list[Requirement], locked: list[Locked]) -> Iterator[str]:
    """What setup.cfg asks for and a lock does not give."""
    versions = {each.name: each.version for each in locked}
    for requirement in wanted:
        version = versions.get(canonicalize_name(requirement.name))
        if version is None:
            yield f"{requirement.name}: not locked: scripts/lock"
        elif not requirement.specifier.contains(version, prereleases=True):
            yield f"{requirement.name}: {version} is locked, {requirement.specifier} is asked for: scripts/lock"


def between(run: list[Locked], dev: list[Locked]) -> Iterator[str]:
    """The developer's lock holds the other one: what is tested is what runs."""
    others = {each.name: each for each in dev}
    for each in run:
        if others.get(each.name) != each:
            yield f"{each.name}: another one, or none, in requirements-dev.lock: scripts/lock"


def installed(locked: list[Locked]) -> Iterator[str]:
    """Versions that are installed and not those that are locked."""
    for each in locked:
        try:
            version = metadata.version(each.name)
        except metadata.PackageNotFoundError:
            continue  # for another Python, or another system
        if version != each.version:
            yield f"{each.name}: {version} is installed, {each.version} is locked: rm -r .venv, scripts/setup"


def licence_of(name: str) -> str:
    """As the installed package says it."""
    about = metadata.metadata(name)
    classifiers = [line.rpartition(" :: ")[2] for line in about.get_all("Classifier", []) if line.startswith("License")]
    said = str(about.json.get("license_expression") or about.json.get("license") or "").split("\n")[0]
    return (said if said != "UNKNOWN" else "") or " AND ".join(classifiers) or "nothing"


def is_fit(licence: str) -> bool:
    """All of `A AND B`, one of `A OR B`."""
    names = re.sub(r"^(The |3-Clause |2-Clause )+", "", licence)
    options = [option.split(" AND ") for option in names.split(" OR ")]
    return any(all(part.strip("() ").startswith((*PERMISSIVE, *WEAK)) for part in parts) for parts in options)


def licences(locked: list[Locked]) -> Iterator[str]:
    """Packages whose licence is none that we know."""
    for each in locked:
        try:
            licence = licence_of(each.name)
        except metadata.PackageNotFoundError:
            continue
        if not is_fit(licence):
            yield f"{each.name}: its licence is {licence[:80]}: decide, and write it into scripts/audit.py"


def undocumented(groups: dict[str, list[Requirement]], document: str) -> Iterator[str]:
    """Packages without a row that says what they are for, and rows without a package."""
    rows = set(re.findall(r"^\| `([^`]+)`", document, re.MULTILINE))
    names = {requirement.name for group in groups.values() for requirement in group}
    yield from (f"{name}: {DOCUMENT} does not say what it is for" for name in sorted(names - rows))
    yield from (f"{name}: stands in {DOCUMENT}, and nothing asks for it" for name in sorted(rows - names))


def offline() -> Iterator[str]:
    """Everything that can be known without a network."""
    groups = asked_for(Path("setup.cfg").read_text(encoding="utf-8"))
    run, run_faults = read_lock(Path("requirements.lock").read_text(encoding="utf-8"))
    dev, dev_faults = read_lock(Path("requirements-dev.lock").read_text(encoding="utf-8"))
    yield from (f"requirements.lock: {fault}" for fault in run_faults)
    yield from (f"requirements-dev.lock: {fault}" for fault in dev_faults)
    yield from disagreements(groups["run"] + groups["build"], run)
    yield from disagreements([each for group in groups.values() for each in group], dev)
    yield from between(run, dev)
    yield from installed(dev)
    yield from licences(dev)
    yield from undocumented(groups, DOCUMENT.read_text(encoding="utf-8"))


def vulnerabilities(locked: list[Locked], address: str = OSV) -> Iterator[str]:
    """What OSV knows of these versions. Raises OSError if it cannot be asked."""
    queries = [{"package": {"name": each.name, "ecosystem": "PyPI"}, "version": each.version} for each in locked]
    request = urllib.request.Request(
        address, json.dumps({"queries": queries}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=OSV_S) as answer:
        results = json.load(answer)["results"]
    for each, result in zip(locked, results, strict=True):
        ids = [found["id"] for found in result.get("vulns", [])]
        if ids:
            yield f"{each.name} {each.version}: {', '.join(ids)}: https://osv.dev/vulnerability/{ids[0]}"


def online(address: str = OSV) -> list[str]:
    """The same, or a word about why not."""
    locked, _ = read_lock(Path("requirements-dev.lock").read_text(encoding="utf-8"))
    try:
        return list(vulnerabilities(locked, address))
    except (OSError, ValueError, KeyError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        print(f"audit: not looked up, OSV cannot be asked: {reason}", file=sys.stderr)
        return []


def main() -> int:
    """Print what is wrong."""
    parser = argparse.ArgumentParser(prog="scripts/audit", description=__doc__)
    parser.add_argument("--online", action="store_true", help="ask OSV for known vulnerabilities as well")
    found = list(offline())
    if parser.parse_args().online:
        found += online()
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
