"""Prints docs/supported-xeps.md: made of what the features declare and of gateway/standards.py.

.venv/bin/python scripts/build_xeps.py > docs/supported-xeps.md
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules

from gateway import features
from gateway.standards import STANDARDS, Standard

HEAD = """\
# Supported standards

Generated from the code by `scripts/build_xeps.py`; do not edit. What is not here is not there.
"""

DOCSTRING = re.compile(r"XEP-\d{4}: (?P<title>.+?), version [\d.]*\d[.:]\s+(?P<note>.+)", re.DOTALL)
"""How the first paragraph of a feature's module begins (style.md, rule 12)."""


def of_features() -> Iterator[Standard]:
    """The features that are on and implement a XEP. Raises ValueError for a docstring without its standard."""
    for found in iter_modules(features.__path__, f"{features.__name__}."):
        module = import_module(found.name)
        feature = getattr(module, "FEATURE", None)
        if feature not in features.FEATURES or feature is None or feature.xep is None:
            continue
        paragraph = " ".join((inspect.getdoc(module) or "").split("\n\n")[0].split())
        match = DOCSTRING.match(paragraph)
        if match is None:
            raise ValueError(f"{found.name}: its docstring does not begin with 'XEP-NNNN: Title, version N.N. What'")
        note = match["note"][0].upper() + match["note"][1:]
        yield Standard(match["title"], found.name, note, xep=feature.xep)


def row(standard: Standard) -> str:
    """One line of a table."""
    path = standard.module.replace(".", "/") + ".py"
    begin = f"[`{path}`](../{path}) | {standard.note} |"
    if standard.xep is None:
        return f"| [RFC {standard.rfc}](https://www.rfc-editor.org/rfc/rfc{standard.rfc}) | {standard.title} | {begin}"
    number = f"{standard.xep.number:04}"
    link = f"[XEP-{number}](https://xmpp.org/extensions/xep-{number}.html)"
    return f"| {link} | {standard.title} | {standard.xep.version} | {begin}"


def page() -> str:
    """The whole file."""
    everything = [*STANDARDS, *of_features()]
    xeps = sorted((one for one in everything if one.xep is not None), key=lambda one: one.xep.number if one.xep else 0)
    rfcs = sorted((one for one in everything if one.xep is None), key=lambda one: one.rfc)
    lines = [HEAD, "| XEP | title | version | module | what of it |", "|---|---|---|---|---|", *map(row, xeps), ""]
    lines += ["| RFC | title | module | what of it |", "|---|---|---|---|", *map(row, rfcs)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(page(), end="")
