"""Elements as dictionaries, for the few payloads that the server itself must understand.

Keys are `namespace|name`, or the name alone if there is no namespace. Attributes are `@name`, with a namespace
`@namespace|name`, and `@xml:lang`. A child that comes more than once is a list. An element with neither attributes nor
children is its text, or None. Otherwise its text is `#text`; white space alone is none. The order among children of
different names is lost, so nothing that is passed on is written from this.
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers.expat import ExpatError

import xmltodict

from gateway.xmpp import ns
from gateway.xmpp.errors import ProtocolError
from gateway.xmpp.expat_names import SEPARATOR
from gateway.xmpp.parser import SPACE
from gateway.xmpp.start_tag import end_of_tag, qualified_name, write_attributes, written_attributes

_LANG: Final = f"@{ns.XML}|lang"
_SPACES: Final = SPACE.decode()


class NotAnElement(ProtocolError):
    """The bytes are not one well-formed element."""

    metric = "not_an_element"


def read(element: bytes, *, default: str = "") -> dict[str, Any]:
    """One element, under its name. `default` is the namespace it stands in. Raises NotAnElement."""
    try:
        tag = element[: end_of_tag(element)]
        if default and not any(name == b"xmlns" for name, _ in written_attributes(tag)):
            at = 1 + len(qualified_name(tag))
            element = element[:at] + write_attributes({"xmlns": default}) + element[at:]
        found: dict[str, Any] = xmltodict.parse(
            element,
            encoding="utf-8",
            process_namespaces=True,
            # The stream's parser refuses namespaces that hold this one; another would be a fault here and now.
            namespace_separator=SEPARATOR,
            strip_whitespace=False,
            postprocessor=_tidy,
        )
    except (ExpatError, ValueError) as error:
        raise NotAnElement(str(error)) from error
    return found


def _tidy(path: object, key: str, value: Any) -> tuple[str, Any] | None:
    if key == "@xmlns":
        return None
    if SEPARATOR in key:
        key = "|".join(key.rsplit(SEPARATOR, 1))
    if key == _LANG:
        return "@xml:lang", value
    if isinstance(value, dict):
        text = value.get("#text")
        if text is not None and len(value) > 1 and not text.strip(_SPACES):
            del value["#text"]
    return key, value


def several(parent: Any, key: str) -> list[Any]:
    """The children of that name, however many there are; none if `parent` is just a text, or nothing."""
    if not isinstance(parent, dict) or key not in parent:
        return []
    found = parent[key]
    return found if isinstance(found, list) else [found]
