"""Prints docs/supported-xeps.md: made of what the features declare, of gateway/standards.py, and of the tests' names.

.venv/bin/python scripts/build_xeps.py > docs/supported-xeps.md
.venv/bin/python scripts/build_xeps.py --untested    XEPs that no foreign client library tests yet
"""

from __future__ import annotations

import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules

from compliance import lines as compliance_lines

from gateway import features
from gateway.standards import STANDARDS, Standard

HEAD = """\
# Supported standards

Generated from the code by `scripts/build_xeps.py`; do not edit. What is not here is not there. A test is one whose
file is named after the XEP; those below `tests/interop` drive client libraries that were not written here.
"""

ROOT = Path(__file__).parents[1]

DOCSTRING = re.compile(r"XEP-\d{4}: (?P<title>.+?), version [\d.]*\d[.:)]*\s*(?P<note>.*)", re.DOTALL)
"""How the first paragraph of a feature's module names its standard (style.md, rule 12)."""

NUMBER = re.compile(r"(?<=_)\d{4}(?=_)")

Tests = Mapping[int, list[Path]]


def of_features() -> Iterator[Standard]:
    """The features that are on and implement a XEP. Raises ValueError for a docstring without its standard."""
    for found in iter_modules(features.__path__, f"{features.__name__}."):
        module = import_module(found.name)
        feature = getattr(module, "FEATURE", None)
        if feature not in features.FEATURES or feature is None or feature.xep is None:
            continue
        paragraph = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
        match = DOCSTRING.search(paragraph)
        if match is None:
            raise ValueError(f"{found.name}: its docstring does not say 'XEP-NNNN: Title, version N.N. What'")
        note = match["note"].lstrip(". ") or paragraph[: match.start()].rstrip("( ") + "."
        yield Standard(match["title"], found.name, note[0].upper() + note[1:], xep=feature.xep)


def tests() -> Tests:
    """XEP -> its tests, by the numbers in the files' names: `test_xep_0198_resumption.py`."""
    found: dict[int, list[Path]] = defaultdict(list)
    for path in sorted((ROOT / "tests").rglob("test_xep_*.py")):
        for number in NUMBER.findall(path.stem + "_"):
            found[int(number)].append(path.relative_to(ROOT))
    return found


def untested(everything: list[Standard], by_xep: Tests) -> Iterator[str]:
    """XEPs without a test below tests/interop."""
    for number, title in sorted({(one.xep.number, one.title) for one in everything if one.xep is not None}):
        if not any(path.parts[1] == "interop" for path in by_xep.get(number, ())):
            yield f"XEP-{number:04} {title}"


def row(standard: Standard, by_xep: Tests) -> str:
    """One line of a table."""
    path = standard.module.replace(".", "/")
    path += "/__init__.py" if (ROOT / path).is_dir() else ".py"
    begin = f"[`{path}`](../{path}) | {standard.note} |"
    if standard.xep is None:
        return f"| [RFC {standard.rfc}](https://www.rfc-editor.org/rfc/rfc{standard.rfc}) | {standard.title} | {begin}"
    number = f"{standard.xep.number:04}"
    link = f"[XEP-{number}](https://xmpp.org/extensions/xep-{number}.html)"
    links = ", ".join(f"[{one.parts[1]}](../{one})" for one in by_xep.get(standard.xep.number, ()))
    return f"| {link} | {standard.title} | {standard.xep.version} | {begin} {links} |"


def page(everything: list[Standard], by_xep: Tests) -> str:
    """The whole file."""
    xeps = sorted((one for one in everything if one.xep is not None), key=lambda one: one.xep.number if one.xep else 0)
    rfcs = sorted((one for one in everything if one.xep is None), key=lambda one: one.rfc)
    lines = [HEAD, "| XEP | title | version | module | what is supported | tests |", "|---|---|---|---|---|---|"]
    lines += [row(one, by_xep) for one in xeps]
    lines += ["", "| RFC | title | module | what is supported |", "|---|---|---|---|"]
    lines += [row(one, by_xep) for one in rfcs]
    lines += ["", *compliance_lines({one.xep.number for one in xeps if one.xep}, {one.rfc for one in rfcs})]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    declared = [*STANDARDS, *of_features()]
    if "--untested" in sys.argv:
        print("\n".join(untested(declared, tests())))
    else:
        print(page(declared, tests()), end="")
