"""Features: one XEP, one module. This is the list of those that are on."""

from gateway.features import blocking, commands, disco, legacy_session, offline, ping, push, roster
from gateway.hooks import Feature

FEATURES: tuple[Feature, ...] = (
    blocking.FEATURE,
    commands.FEATURE,
    disco.FEATURE,
    legacy_session.FEATURE,
    offline.FEATURE,
    ping.FEATURE,
    push.FEATURE,
    roster.FEATURE,
)
