"""RFC 6120 §4.9.3: which stream error each of expat's is."""

from __future__ import annotations

from typing import Final
from xml.parsers.expat import ErrorString, ExpatError

from gateway.xmpp.errors import StreamCondition, StreamError

_CONDITIONS: Final = {
    11: StreamCondition.RESTRICTED_XML,  # undefined entity: without a DTD, every one that is not predefined
    17: StreamCondition.RESTRICTED_XML,  # XML declaration, or another PI named xml, inside the stream
    27: StreamCondition.BAD_NAMESPACE_PREFIX,  # unbound prefix
    28: StreamCondition.BAD_NAMESPACE_PREFIX,  # prefix undeclared by xmlns:prefix=''
    38: StreamCondition.BAD_NAMESPACE_PREFIX,  # "xml" bound to something else
    39: StreamCondition.BAD_NAMESPACE_PREFIX,  # "xmlns" declared
    40: StreamCondition.BAD_NAMESPACE_PREFIX,  # a prefix bound to a reserved namespace
}
"""By code (expat.h, enum XML_Error). What is not here is not-well-formed."""


def as_stream_error(error: ExpatError) -> StreamError:
    """The stream error for what expat refused."""
    return StreamError(_CONDITIONS.get(error.code, StreamCondition.NOT_WELL_FORMED), ErrorString(error.code) or "")
