"""Bad requests made from a good one: one thing is wrong in each, but for what becomes of the rest by it."""

from __future__ import annotations

import os
import random
import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import partial
from typing import Final
from xml.etree.ElementTree import Element, SubElement, fromstring
from xml.sax.saxutils import escape, quoteattr

from gateway.xmpp import ns
from tests.support.processes import DOMAIN

Mutation = tuple[str, str]
"""(what is wrong, the payload)"""

Recipe = tuple[str, Callable[[], str]]
"""The same, before it is written: most are not tried, and to write them all takes longer than to try some."""

IS_THOROUGH: Final = os.environ.get("WAKEGATE_FUZZ") == "thorough"
"""every mutation is tried; otherwise some of each kind, the same ones in every run"""

LARGE: Final = 200_000
FIELDS: Final = 1000

VALUES: Final = (
    "",
    " ",
    "\t\n",
    "\x7f\x85\u200b\u202e\ufffd\U0010ffff",
    "-1",
    "0",
    "1",
    "1.5",
    "1e9",
    "0x10",
    "NaN",
    "4294967296",
    "9" * 40,
    "\u0661\uff12",
    "true",
    "null",
    "{}",
    "@",
    "/",
    "a@",
    "@b",
    "a b@localhost",
    "a@b@c/d",
    "a@localhost/",
    "a" * 1024 + "@localhost",
    "a@" + "b" * 1024,
    f"stranger@{DOMAIN}",
    f"nobody@{DOMAIN}",
    DOMAIN,
    f"push.{DOMAIN}",
    "elsewhere.example",
    "<x a='&'/>]]>",
    "'; redis.call('FLUSHALL') --",
    "%s%n{0}\\..//..",
    "wg:{b00}:accts",
    "\nmember\nnode\n",
    "x" * 5000,
    "2020-13-45T99:99:99Z",
    "max",
    "none",
    "remove",
    "both",
    "http://jabber.org/protocol/admin#delete-user",
)

_TAG = re.compile(r"\{(.*)\}(.*)", re.DOTALL)


def parse(payload: str) -> Element:
    """A payload as a tree that can be changed."""
    return fromstring(payload)


def split(tag: str) -> tuple[str, str]:
    """(namespace, name)."""
    found = _TAG.fullmatch(tag)
    return (found[1], found[2]) if found else ("", tag)


def written(element: Element, inherited: str = "") -> str:
    """With default namespaces alone, as clients write; `inherited` is that of the parent."""
    namespace, name = split(element.tag)
    attrs = "".join(f" {key}={quoteattr(value)}" for key, value in element.attrib.items())
    declared = f" xmlns={quoteattr(namespace)}" if namespace != inherited else ""
    inner = escape(element.text or "") + "".join(
        written(child, namespace) + escape(child.tail or "") for child in element
    )
    return f"<{name}{declared}{attrs}>{inner}</{name}>" if inner else f"<{name}{declared}{attrs}/>"


def payload_of(element: Element) -> str:
    """The payload of an iq, whose namespace it does not share."""
    return written(element, ns.CLIENT)


def mutations(payload: str, name: str = "", most: int = 0) -> list[Mutation]:
    """Bad payloads, each once, in their order; `most`: so many at most, always the same for a `name`."""
    root = parse(payload)
    makers = (_of_the_root, _of_elements, _of_attributes, _of_texts, _of_forms, _of_pages)
    recipes = [recipe for make in makers for recipe in make(root)]
    if most and len(recipes) > most:
        chosen = random.Random(name).sample(range(len(recipes)), most)
        recipes = [recipes[at] for at in sorted(chosen)]
    found: dict[str, str] = {}
    for what, write in recipes:
        found.setdefault(write(), what)
    found.pop(payload, None)
    return [(what, text) for text, what in found.items()]


def misnamed(payload: str) -> Iterator[Mutation]:
    """Payloads that only look like the good one, and are nobody's."""
    namespace, name = split(parse(payload).tag)
    for what, tag in (
        ("another namespace", f"{{{namespace}x}}{name}"),
        ("no namespace", name),
        ("the stanza's namespace", f"{{{ns.CLIENT}}}{name}"),
        ("another name", f"{{{namespace}}}{name}x"),
        ("a name in upper case", f"{{{namespace}}}{name.upper()}"),
    ):
        root = parse(payload)
        root.tag = tag
        yield what, payload_of(root)


def changed(root: Element, at: int, change: Callable[[Element], object]) -> Callable[[], str]:
    """A copy of the tree in which the element number `at` was changed."""

    def write() -> str:
        copy = deepcopy(root)
        change(list(copy.iter())[at])
        return payload_of(copy)

    return write


def _of_the_root(root: Element) -> Iterator[Recipe]:
    namespace, name = split(root.tag)
    yield "nothing in it", partial(payload_of, Element(root.tag, dict(root.attrib)))
    yield "nothing at all", partial(payload_of, Element(root.tag))
    yield "a prefix", lambda: f"<p:{name} xmlns:p='{namespace}'/>"
    yield (
        "attributes with prefixes",
        lambda: f"<{name} xmlns='{namespace}' xmlns:p='urn:p' p:node='x' p:jid='y' p:type='z'/>",
    )
    yield (
        "attributes nobody knows",
        changed(root, 0, lambda e: e.attrib.update({"x": "y", "id": "1", "node": "\u2028"})),
    )
    yield "60 attributes", changed(root, 0, lambda e: e.attrib.update({f"x{i}": "y" for i in range(60)}))
    yield "a language", lambda: payload_of(root).replace(f"<{name}", f"<{name} xml:lang='{'x' * 5000}'", 1)


def _of_elements(root: Element) -> Iterator[Recipe]:
    for at, element in enumerate(root.iter()):
        where = f"in {split(element.tag)[1]} "
        yield where + "text", changed(root, at, _put_text)
        yield where + "an element nobody knows", changed(root, at, lambda e: _put(e, "{urn:example:x}x"))
        yield where + "an element without a namespace", changed(root, at, lambda e: _put(e, "x"))
        yield where + "itself", changed(root, at, lambda e: e.append(deepcopy(e)))
        yield where + "40 levels", changed(root, at, _put_deep)
        yield where + "nothing", changed(root, at, _clear)
        yield (
            where + "200 elements",
            changed(root, at, lambda e: e.extend(Element("{urn:example:x}x") for _ in range(200))),
        )
        if len(element) > 1:
            yield where + "reversed", changed(root, at, lambda e: e.__setitem__(slice(None), list(e)[::-1]))
        for n, child in enumerate(element):
            yield from _of_child(root, at, n, split(child.tag))


def _of_child(root: Element, at: int, n: int, tag: tuple[str, str]) -> Iterator[Recipe]:
    namespace, name = tag

    def named(new: str) -> Callable[[Element], None]:
        return lambda e: setattr(e[n], "tag", new)

    yield f"{name} missing", changed(root, at, lambda e: e.remove(e[n]))
    yield f"{name} twice", changed(root, at, lambda e: e.insert(n, deepcopy(e[n])))
    yield f"{name} 300 times", changed(root, at, lambda e: e.extend(deepcopy(e[n]) for _ in range(300)))
    yield f"{name} in another namespace", changed(root, at, named(f"{{{namespace}x}}{name}"))
    yield f"{name} in the stanza's", changed(root, at, named(f"{{{ns.CLIENT}}}{name}"))
    yield f"{name} in none", changed(root, at, named(name))
    yield f"{name} misspelt", changed(root, at, named(f"{{{namespace}}}{name}s"))


def _of_attributes(root: Element) -> Iterator[Recipe]:
    for at, element in enumerate(root.iter()):
        for name in element.attrib:
            yield f"@{name} missing", changed(root, at, lambda e, name=name: e.attrib.pop(name))  # type: ignore[misc]
            for value in (*VALUES, "y" * LARGE):
                yield f"@{name} {value[:40]!r}", changed(root, at, lambda e, name=name, value=value: e.set(name, value))  # type: ignore[misc]


def _of_texts(root: Element) -> Iterator[Recipe]:
    for at, element in enumerate(root.iter()):
        if len(element) and element is not root:
            continue
        name = split(element.tag)[1]
        values = VALUES if element.text else VALUES[-12:-6]
        for value in (*values, "z" * LARGE):
            yield f"{name} of {value[:40]!r}", changed(root, at, lambda e, value=value: setattr(e, "text", value))  # type: ignore[misc]


def _of_forms(root: Element) -> Iterator[Recipe]:
    for at, element in enumerate(root.iter()):
        if element.tag != f"{{{ns.DATA_FORMS}}}x":
            continue
        for type_ in ("form", "result", "cancel", "SUBMIT"):
            yield f"a form of type {type_}", changed(root, at, lambda e, type_=type_: e.set("type", type_))  # type: ignore[misc]
        yield "a form without fields", changed(root, at, _clear)
        yield "a field nobody knows", changed(root, at, lambda e: _field(e, "x", "y"))
        yield (
            "a field of two values",
            changed(root, at, lambda e: SubElement(e[-1], _x("value")).__setattr__("text", "b")),
        )
        yield "fields without values", changed(root, at, _without_values)
        yield "fields without names", changed(root, at, lambda e: [field.attrib.pop("var", "") for field in e])
        yield "1,000 fields", changed(root, at, lambda e: _fields(e, FIELDS))
        yield "a field 1,000 times", changed(root, at, lambda e: e.extend(deepcopy(e[-1]) for _ in range(FIELDS)))
        yield "1,000 values", changed(root, at, lambda e: e[-1].extend(deepcopy(e[-1][0]) for _ in range(FIELDS)))
        yield (
            "items and reported",
            changed(root, at, lambda e: e.extend((Element(_x("reported")), Element(_x("item"))))),
        )


PAGES: Final = (
    "<max>-1</max>", "<max>0</max>", "<max>abc</max>", "<max>99999999999999999999</max>", "<max/>", "<max> 1 </max>",
    "<max>1</max><max>2</max>", "<max><x/></max>", "<after>x</after>", "<after/>", "<before>x</before>", "<before/>",
    "<after>x</after><before>y</before>", "<after>x</after><after>y</after>", "<index>-1</index>", "<index>1</index>",
    "<index>x</index>", "<first index='x'>a</first><count>-1</count>", "text", f"<after>{'x' * 50_000}</after>",
    "<max>1</max><after>1700000000000-0</after>",
)  # fmt: skip


def _of_pages(root: Element) -> Iterator[Recipe]:
    """XEP-0059, in every request: those that know nothing of it pass it over, or refuse it."""
    for page in PAGES:
        for count in (1, 2):
            copy = deepcopy(root)
            for old in copy.findall(f"{{{ns.RSM}}}set"):
                copy.remove(old)
            copy.extend(fromstring(f"<set xmlns='{ns.RSM}'>{page}</set>") for _ in range(count))
            yield f"{count} times the page {page[:40]}", partial(payload_of, copy)


def _x(name: str) -> str:
    return f"{{{ns.DATA_FORMS}}}{name}"


def _put(element: Element, tag: str) -> None:
    SubElement(element, tag, {"node": "x"}).text = "x"


def _put_text(element: Element) -> None:
    element.text = "text & more"
    if len(element):
        element[0].tail = "\u00e4"


def _put_deep(element: Element) -> None:
    for _ in range(40):
        element = SubElement(element, "{urn:example:deep}x")


def _clear(element: Element) -> None:
    attrs = dict(element.attrib)
    element.clear()
    element.attrib.update(attrs)


def _field(form: Element, var: str, value: str) -> None:
    SubElement(SubElement(form, _x("field"), {"var": var}), _x("value")).text = value


def _fields(form: Element, count: int) -> None:
    for number in range(count):
        _field(form, f"f{number}", "v")


def _without_values(form: Element) -> None:
    for field in list(form)[1:]:
        _clear(field)
