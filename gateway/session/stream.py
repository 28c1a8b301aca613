"""The XML of a stream around its stanzas: headers, features, errors (RFC 6120 section 4)."""

from __future__ import annotations

import re

from gateway.limits.process import TurnedAway
from gateway.sections import LimitSettings
from gateway.xmpp.errors import StreamCondition, StreamError
from gateway.xmpp.stanza import escape

CLOSE = b"</stream:stream>"

LANG = "en"
"""what this server speaks, and what every client of it takes for granted (RFC 6120 sections 4.7.4 and 8.1.5)"""

_TAG = re.compile(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*")
_LONGEST_TAG = 35
"""RFC 5646 section 4.4.1"""


def header(*, domain: str, stream_id: str, to: str | None) -> bytes:
    """The response stream header (RFC 6120 section 4.7)."""
    addressed = f" to='{escape(to)}'" if to else ""
    return (
        "<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
        f" from='{escape(domain)}'{addressed} id='{stream_id}' version='1.0' xml:lang='{LANG}'>"
    ).encode()


def foreign(lang: str) -> str:
    """The language of a stream, if it has to be said of each stanza that leaves it; "" if not, or if it is none."""
    is_tag = len(lang) <= _LONGEST_TAG and _TAG.fullmatch(lang)
    return lang if is_tag and lang.lower() != LANG else ""


def features(*parts: str) -> bytes:
    """<stream:features/> with these children."""
    return f"<stream:features>{''.join(parts)}</stream:features>".encode()


def starttls(*, required: bool) -> str:
    """RFC 6120 section 5.4.1."""
    return f"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'>{'<required/>' if required else ''}</starttls>"


def mechanisms(names: tuple[str, ...], bindings: tuple[str, ...]) -> str:
    """RFC 6120 section 6.4.1, with the channel bindings there are (XEP-0440)."""
    listed = "".join(f"<mechanism>{name}</mechanism>" for name in names)
    text = f"<mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{listed}</mechanisms>"
    if bindings:
        kinds = "".join(f"<channel-binding type='{kind}'/>" for kind in bindings)
        text += f"<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>{kinds}</sasl-channel-binding>"
    return text


UNAUTHENTICATED_BYTES = 10_000
"""what somebody unknown may send at once: the least that RFC 6120 section 13.12 allows"""


def limits(settings: LimitSettings, *, is_known: bool) -> str:
    """XEP-0478: what a client may send at once, and how long it may be silent, before its log-in and after it."""
    size, idle_s = settings.max_stanza_bytes, settings.idle_timeout
    if not is_known:
        size, idle_s = UNAUTHENTICATED_BYTES, min(settings.authentication_timeout, settings.negotiation_timeout)
    return (
        f"<limits xmlns='urn:xmpp:stream-limits:0'><max-bytes>{size}</max-bytes>"
        f"<idle-seconds>{int(idle_s)}</idle-seconds></limits>"
    )


def farewell(away: TurnedAway, *, domain: str, stream_id: str, see_other_host: str = "") -> bytes:
    """A whole stream for somebody who is not served (RFC 6120 section 4.9.3). `see_other_host`: where a client is sent
    when this process is busy; "" = it shall come again later.
    """
    head = header(domain=domain, stream_id=stream_id, to=None)
    if away.is_busy and see_other_host:
        name = StreamCondition.SEE_OTHER_HOST
        error = (
            f"<stream:error><{name} xmlns='urn:ietf:params:xml:ns:xmpp-streams'>{escape(see_other_host)}</{name}>"
            "</stream:error>"
        ).encode()
        return head + error + CLOSE
    condition = StreamCondition.RESOURCE_CONSTRAINT if away.is_busy else StreamCondition.POLICY_VIOLATION
    return head + StreamError(condition, str(away)).to_bytes() + CLOSE


AFTER_AUTHENTICATION = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/><sm xmlns='urn:xmpp:sm:3'/>"
"""RFC 6120 section 7.4, XEP-0198 section 2"""
