"""What the push service refuses (RFC 8030, sections 5, 7, 8; RFC 8292, section 4.2), each with its status."""

from collections.abc import Mapping

from gateway.errors import WakegateError

STATUS: Mapping[str, int] = {
    "MissingTtl": 400,
    "BadTtl": 400,
    "BadUrgency": 400,
    "BadTopic": 400,
    "BadEncoding": 400,
    "Undecryptable": 400,
    "MissingVapid": 401,
    "BadVapid": 403,
    "OtherVapidKey": 403,
    "NoSuchSubscription": 404,
    "MethodNotAllowed": 405,
    "Unsubscribed": 410,
    "PayloadTooLarge": 413,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "BadGateway": 502,
    "ServiceUnavailable": 503,
    "InsufficientStorage": 507,
}


class WebPushRefusal(WakegateError):
    """The answer to a push message that is not accepted: a reason of STATUS, and a sentence."""

    metric = "sandbox_webpush_refusal"

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason
        self.text = text

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.reason]
