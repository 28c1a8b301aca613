"""XEP-0092: Software Version, version 1.1. The server's name and version, and on request of the operator its system."""

from __future__ import annotations

import platform
from dataclasses import dataclass

import gateway
from gateway.hooks import Feature, Query, Xep
from gateway.settings import setting
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape


@dataclass(frozen=True)
class VersionSettings:
    """[version] What the server tells about itself (XEP-0092)."""

    show_version: bool = setting(True, help="Wakegate's version; without it clients are told the name alone.")
    show_os: bool = setting(False, help="The operating system and its release.")


def answer(query: Query) -> None:
    """XEP-0092 section 3. What is not to be shown of the version is empty, since the element is required."""
    if query.to.local:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    settings = query.services.settings.of(VersionSettings)
    version = gateway.__version__ if settings.show_version else ""
    system = f"<os>{escape(f'{platform.system()} {platform.release()}')}</os>" if settings.show_os else ""
    query.reply(
        f"<query xmlns='{ns.VERSION}'><name>Wakegate</name><version>{version}</version>{system}</query>".encode()
    )


FEATURE = Feature(name="version", xep=Xep(92, "1.1.0"), disco=(ns.VERSION,), iq_get={(ns.VERSION, "query"): answer})
