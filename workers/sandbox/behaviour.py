"""How the sandbox behaves as long as no fault strikes. POST /control/settings changes it while it runs."""

from typing import Annotated, Literal

import msgspec


class Behaviour(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The sandbox's own settings. Durations are in seconds."""

    apns_strict_devices: bool = False
    """False: any token of 64 or more hex digits is a registered device of every topic. True: registered ones only."""

    fcm_strict_devices: bool = False
    """False: any token is a registered app instance. True: registered ones only."""

    apns_connections: Literal["served", "refused", "hanging"] = "served"
    """`refused`: reset at once, open ones too, as if nobody listened. `hanging`: accepted, and then not a byte."""

    fcm_connections: Literal["served", "refused", "hanging"] = "served"
    """The same for FCM and its token endpoint."""

    apns_max_concurrent_streams: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 1000
    """Offered once a valid provider token was seen (or at once with a certificate); before that it is 1."""

    apns_narrow_after_refusal: bool = False
    """Offer one stream after a refused push, the full number after the next accepted one, as users report of APNs."""

    apns_initial_window_size: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] = 65535
    """SETTINGS_INITIAL_WINDOW_SIZE: a small one makes a client's flow control work."""

    apns_idle_timeout_s: Annotated[float, msgspec.Meta(ge=0.05, le=86400)] = 3600.0
    """A connection without a frame for so long is told GOAWAY with IdleTimeout."""

    apns_max_header_list_size: Annotated[int, msgspec.Meta(ge=1000, le=65536)] = 8000
    """SETTINGS_MAX_HEADER_LIST_SIZE: a client that sends more is sent away."""

    apns_window_updates: bool = True
    """False: no WINDOW_UPDATE is sent, and a client that has used up the windows waits until this is True again."""

    apns_frozen: bool = False
    """True: nothing is written to any connection, not even answers to PING, as if the network had swallowed it."""

    apns_errors_before_disconnect: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """A connection that drew so many errors is sent away; BadDeviceToken counts five times, 410 not. 0: never."""

    apns_device_per_minute: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 0
    """More pushes to one device draw TooManyRequests. Apple names no number. 0: any number."""

    apns_token_updates_across_connections: bool = False
    """TooManyProviderTokenUpdates also for a new token on another connection, as some users report."""

    apns_broadcast: bool = True
    """Whether apps may broadcast; otherwise FeatureNotEnabled."""

    fcm_quotas: bool = False
    """Whether the rates below are kept."""

    fcm_project_per_minute: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 600_000
    """Requests of the project, a token bucket; those that are refused count, too."""

    fcm_device_per_minute: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 240
    """Messages to one device in a minute."""

    fcm_device_per_hour: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 5000
    """Messages to one device in an hour."""

    fcm_collapsible_burst: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 20
    """Collapsible messages to one device at once; one more is allowed every three minutes."""

    fcm_max_concurrent_streams: Annotated[int, msgspec.Meta(ge=1, le=10000)] = 100
    """Announced to a new HTTP/2 connection. More open streams draw GOAWAY `exceeded_max_concurrent_streams`."""

    fcm_access_token_lifetime_s: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 3599
    """How long an access token is good for."""
