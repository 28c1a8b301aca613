"""Features: one XEP, one module. This is the list of those that are on."""

from gateway.features import (
    blocking,
    carbons,
    commands,
    csi,
    disco,
    legacy_session,
    offline,
    ping,
    push,
    roster,
    stanza_ids,
)
from gateway.hooks import Feature

FEATURES: tuple[Feature, ...] = (
    blocking.FEATURE,
    carbons.FEATURE,
    commands.FEATURE,
    csi.FEATURE,
    disco.FEATURE,
    legacy_session.FEATURE,
    offline.FEATURE,
    ping.FEATURE,
    push.FEATURE,
    roster.FEATURE,
    stanza_ids.FEATURE,
)
