"""How the sandbox behaves as long as no fault strikes. POST /control/settings changes it while it runs."""

from typing import Annotated

import msgspec


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sandbox's own settings. Durations are in seconds."""

    apns_strict_devices: bool = False
    """False: any token of 64 or more hex digits is a registered device of every topic. True: registered ones only."""

    fcm_strict_devices: bool = False
    """False: any token is a registered app instance. True: registered ones only."""

    apns_max_concurrent_streams: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 1000
    """Offered once a valid provider token was seen (or at once with a certificate); before that it is 1."""

    apns_narrow_after_refusal: bool = False
    """Offer one stream after a refused push, the full number after the next accepted one, as users report of APNs."""

    apns_initial_window_size: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 65535
    """SETTINGS_INITIAL_WINDOW_SIZE: a small one makes a client's flow control work."""

    apns_idle_timeout_s: Annotated[float, msgspec.Meta(ge=0.05, le=86400)] = 3600.0
    """A connection without a frame for so long is told GOAWAY with IdleTimeout."""

    fcm_max_concurrent_streams: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 100
    """Announced to a new HTTP/2 connection. More open streams draw GOAWAY `exceeded_max_concurrent_streams`."""

    fcm_access_token_lifetime_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 3599
    """How long an access token is good for."""
