"""Standards that no single feature holds: what concerns streams, addresses and stanzas as such.

Features declare theirs themselves (`Feature.xep`). docs/supported-xeps.md is made of both by scripts/build_xeps.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.hooks import Xep


@dataclass(frozen=True, slots=True)
class Standard:
    """A XEP (or, with `rfc` set, an RFC), the module to begin reading at, and what of it is there."""

    title: str
    module: str
    note: str
    xep: Xep | None = None
    rfc: int = 0


STANDARDS: Final = (
    Standard(
        "Data Forms",
        "gateway.xmpp.forms",
        "What XEP-0357 needs: publish-options.",
        xep=Xep(4, "2.13.2"),
    ),
    Standard(
        "Bookmarks",
        "gateway.features.bookmarks_conversion",
        "Lists in private XML and as one published item, converted from and to XEP-0402.",
        xep=Xep(48, "1.2.0"),
    ),
    Standard(
        "Service Discovery Extensions",
        "gateway.discovery",
        "Forms that features add to disco#info.",
        xep=Xep(128, "1.0.1"),
    ),
    Standard(
        "Result Set Management",
        "gateway.xmpp.rsm",
        "Pages forwards and backwards, by ids; counts where they are asked for. No pages by index.",
        xep=Xep(59, "1.0.0"),
    ),
    Standard(
        "Publish-Subscribe",
        "gateway.features.pep.requests",
        "What personal eventing needs of it, on accounts: docs/pep.md. No collections, no subscription options.",
        xep=Xep(60, "1.30.0"),
    ),
    Standard(
        "User Avatar",
        "gateway.features.pep",
        "Its two nodes.",
        xep=Xep(84, "1.1.4"),
    ),
    Standard(
        "Stream Management",
        "gateway.session.smacks",
        "Acks both ways, resumption on any process, `max`, `location`, the last `h` with a failed resumption.",
        xep=Xep(198, "1.6.3"),
    ),
    Standard(
        "Delayed Delivery",
        "gateway.xmpp.delay",
        "Stamps what comes late: after a resumption, or from the offline store. Forged stamps of this server go.",
        xep=Xep(203, "2.0"),
    ),
    Standard(
        "Persistent Storage of Private Data via PubSub",
        "gateway.features.pep",
        "Publish-options as preconditions, the access model `whitelist`.",
        xep=Xep(223, "1.1.1"),
    ),
    Standard(
        "Message Processing Hints",
        "gateway.features.offline",
        "`no-store`, `no-permanent-store` and `store` for the offline store and the archive, `no-copy` for carbons.",
        xep=Xep(334, "1.0.0"),
    ),
    Standard(
        "SRV records for XMPP over TLS",
        "gateway.transports.tls",
        "Direct TLS with ALPN `xmpp-client`. The records are yours to publish.",
        xep=Xep(368, "1.1.0"),
    ),
    Standard(
        "Blocking Command Reports",
        "gateway.features.blocking",
        "Reports of spam and abuse that come with a block go to the log of the operators.",
        xep=Xep(377, "0.4.1"),
    ),
    Standard(
        "SASL Channel-Binding Type Capability",
        "gateway.session.stream",
        "Tells which channel bindings there are.",
        xep=Xep(440, "1.0.0"),
    ),
    Standard(
        "SASL SCRAM Downgrade Protection",
        "gateway.xmpp.sasl.scram_message",
        "What was offered is part of what SCRAM signs.",
        xep=Xep(474, "0.5.0"),
    ),
    Standard(
        "Stream Limits Advertisement",
        "gateway.session.stream",
        "`max-bytes` and `idle-seconds`, as they hold before the log-in and after it.",
        xep=Xep(478, "0.2.0"),
    ),
    Standard(
        "Chat notification settings",
        "gateway.xmpp.notification_settings",
        "Settings for phones in bookmarks decide about pushes, those of version 0.1 as well. A mute may have an end: "
        "docs/push.md.",
        xep=Xep(492, "0.2.0"),
    ),
    Standard("SASLprep", "gateway.xmpp.sasl.prepare", "For passwords.", rfc=4013),
    Standard("SASL PLAIN", "gateway.xmpp.sasl.plain", "Inside TLS only, unless TLS is switched off.", rfc=4616),
    Standard("SCRAM-SHA-1 and -PLUS", "gateway.xmpp.sasl.scram", "", rfc=5802),
    Standard(
        "Channel bindings for TLS",
        "gateway.transports.channel_binding",
        "`tls-server-end-point`; `tls-unique` with TLS 1.2.",
        rfc=5929,
    ),
    Standard(
        "XMPP: Core",
        "gateway.session.negotiation",
        "Client to server: streams, STARTTLS, SASL, resource binding, stanzas and their errors. No server to server.",
        rfc=6120,
    ),
    Standard(
        "XMPP: Instant Messaging and Presence",
        "gateway.router",
        "Rosters with versioning and pre-approval, subscriptions, presence, delivery; among this server's accounts and "
        "components.",
        rfc=6121,
    ),
    Standard("Use of TLS in XMPP", "gateway.transports.tls", "TLS 1.2 and 1.3.", rfc=7590),
    Standard(
        "XMPP addresses",
        "gateway.xmpp.jid",
        "Prepared with the PRECIS profiles.",
        rfc=7622,
    ),
    Standard("SCRAM-SHA-256 and -PLUS", "gateway.xmpp.sasl.scram", "", rfc=7677),
    Standard(
        "Channel bindings for TLS 1.3",
        "gateway.transports.channel_binding",
        "`tls-exporter`, where Python's OpenSSL can be asked for it.",
        rfc=9266,
    ),
)
