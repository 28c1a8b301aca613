"""RFC 6120 §4.9, §6.5, §8.3: errors that have a form on the wire."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from gateway.errors import WakegateError
from gateway.xmpp import ns
from gateway.xmpp.escape import escape


class StreamCondition(StrEnum):
    """RFC 6120 §4.9.3."""

    BAD_FORMAT = "bad-format"
    BAD_NAMESPACE_PREFIX = "bad-namespace-prefix"
    CONFLICT = "conflict"
    CONNECTION_TIMEOUT = "connection-timeout"
    HOST_GONE = "host-gone"
    HOST_UNKNOWN = "host-unknown"
    IMPROPER_ADDRESSING = "improper-addressing"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    INVALID_FROM = "invalid-from"
    INVALID_NAMESPACE = "invalid-namespace"
    INVALID_XML = "invalid-xml"
    NOT_AUTHORIZED = "not-authorized"
    NOT_WELL_FORMED = "not-well-formed"
    POLICY_VIOLATION = "policy-violation"
    REMOTE_CONNECTION_FAILED = "remote-connection-failed"
    RESET = "reset"
    RESOURCE_CONSTRAINT = "resource-constraint"
    RESTRICTED_XML = "restricted-xml"
    SEE_OTHER_HOST = "see-other-host"
    SYSTEM_SHUTDOWN = "system-shutdown"
    UNDEFINED_CONDITION = "undefined-condition"
    UNSUPPORTED_ENCODING = "unsupported-encoding"
    UNSUPPORTED_FEATURE = "unsupported-feature"
    UNSUPPORTED_STANZA_TYPE = "unsupported-stanza-type"
    UNSUPPORTED_VERSION = "unsupported-version"


class StanzaCondition(StrEnum):
    """RFC 6120 §8.3.3."""

    BAD_REQUEST = "bad-request"
    CONFLICT = "conflict"
    FEATURE_NOT_IMPLEMENTED = "feature-not-implemented"
    FORBIDDEN = "forbidden"
    GONE = "gone"
    INTERNAL_SERVER_ERROR = "internal-server-error"
    ITEM_NOT_FOUND = "item-not-found"
    JID_MALFORMED = "jid-malformed"
    NOT_ACCEPTABLE = "not-acceptable"
    NOT_ALLOWED = "not-allowed"
    NOT_AUTHORIZED = "not-authorized"
    POLICY_VIOLATION = "policy-violation"
    RECIPIENT_UNAVAILABLE = "recipient-unavailable"
    REDIRECT = "redirect"
    REGISTRATION_REQUIRED = "registration-required"
    REMOTE_SERVER_NOT_FOUND = "remote-server-not-found"
    REMOTE_SERVER_TIMEOUT = "remote-server-timeout"
    RESOURCE_CONSTRAINT = "resource-constraint"
    SERVICE_UNAVAILABLE = "service-unavailable"
    SUBSCRIPTION_REQUIRED = "subscription-required"
    UNDEFINED_CONDITION = "undefined-condition"
    UNEXPECTED_REQUEST = "unexpected-request"


class ErrorType(StrEnum):
    """RFC 6120 §8.3.2: what the sender may do about it."""

    AUTH = "auth"
    CANCEL = "cancel"
    CONTINUE = "continue"
    MODIFY = "modify"
    WAIT = "wait"


class SaslCondition(StrEnum):
    """RFC 6120 §6.5."""

    ABORTED = "aborted"
    ACCOUNT_DISABLED = "account-disabled"
    CREDENTIALS_EXPIRED = "credentials-expired"
    ENCRYPTION_REQUIRED = "encryption-required"
    INCORRECT_ENCODING = "incorrect-encoding"
    INVALID_AUTHZID = "invalid-authzid"
    INVALID_MECHANISM = "invalid-mechanism"
    MALFORMED_REQUEST = "malformed-request"
    MECHANISM_TOO_WEAK = "mechanism-too-weak"
    NOT_AUTHORIZED = "not-authorized"
    TEMPORARY_AUTH_FAILURE = "temporary-auth-failure"


USUAL_TYPE: Final[Mapping[StanzaCondition, ErrorType]] = {
    StanzaCondition.BAD_REQUEST: ErrorType.MODIFY,
    StanzaCondition.CONFLICT: ErrorType.CANCEL,
    StanzaCondition.FEATURE_NOT_IMPLEMENTED: ErrorType.CANCEL,
    StanzaCondition.FORBIDDEN: ErrorType.AUTH,
    StanzaCondition.GONE: ErrorType.CANCEL,
    StanzaCondition.INTERNAL_SERVER_ERROR: ErrorType.CANCEL,
    StanzaCondition.ITEM_NOT_FOUND: ErrorType.CANCEL,
    StanzaCondition.JID_MALFORMED: ErrorType.MODIFY,
    StanzaCondition.NOT_ACCEPTABLE: ErrorType.MODIFY,
    StanzaCondition.NOT_ALLOWED: ErrorType.CANCEL,
    StanzaCondition.NOT_AUTHORIZED: ErrorType.AUTH,
    StanzaCondition.POLICY_VIOLATION: ErrorType.MODIFY,
    StanzaCondition.RECIPIENT_UNAVAILABLE: ErrorType.WAIT,
    StanzaCondition.REDIRECT: ErrorType.MODIFY,
    StanzaCondition.REGISTRATION_REQUIRED: ErrorType.AUTH,
    StanzaCondition.REMOTE_SERVER_NOT_FOUND: ErrorType.CANCEL,
    StanzaCondition.REMOTE_SERVER_TIMEOUT: ErrorType.WAIT,
    StanzaCondition.RESOURCE_CONSTRAINT: ErrorType.WAIT,
    StanzaCondition.SERVICE_UNAVAILABLE: ErrorType.CANCEL,
    StanzaCondition.SUBSCRIPTION_REQUIRED: ErrorType.AUTH,
    StanzaCondition.UNDEFINED_CONDITION: ErrorType.CANCEL,
    StanzaCondition.UNEXPECTED_REQUEST: ErrorType.WAIT,
}
"""RFC 6120 §8.3.3: the type that each condition SHOULD have; where it leaves a choice, one of those it names."""


class ProtocolError(WakegateError):
    """The peer, or a policy about it, is at fault."""

    metric = "protocol"


class LocalProtocolError(ProtocolError):
    """We were about to break the rules ourselves."""

    alert = True
    metric = "local_protocol"


class StreamError(ProtocolError):
    """RFC 6120 §4.9: the stream cannot go on. `extra` is an application-specific child, as bytes."""

    metric = "stream_error"

    def __init__(self, condition: StreamCondition, text: str = "", *, extra: bytes = b"") -> None:
        super().__init__(f"{condition}: {text}" if text else str(condition))
        self.condition = condition
        self.text = text
        self.extra = extra

    def to_bytes(self) -> bytes:
        """The `<stream:error/>`, for a stream that declares the prefix `stream`."""
        inner = _condition(self.condition, ns.STREAM_ERRORS) + _text(self.text, ns.STREAM_ERRORS) + self.extra
        return b"<stream:error>%b</stream:error>" % inner


class StanzaError(ProtocolError):
    """RFC 6120 §8.3: one stanza is refused and the stream goes on.

    `type` is the condition's usual one if not given. `extra` is an application-specific child, as bytes.
    """

    metric = "stanza_error"

    def __init__(
        self,
        condition: StanzaCondition,
        text: str = "",
        *,
        type: ErrorType | None = None,  # noqa: A002 - the attribute's name in the RFC
        extra: bytes = b"",
    ) -> None:
        super().__init__(f"{condition}: {text}" if text else str(condition))
        self.condition = condition
        self.text = text
        self.type = USUAL_TYPE[condition] if type is None else type
        self.extra = extra

    def to_bytes(self) -> bytes:
        """The `<error/>` child of the reply."""
        inner = _condition(self.condition, ns.STANZAS) + _text(self.text, ns.STANZAS) + self.extra
        return b"<error type='%b'>%b</error>" % (self.type.encode(), inner)


class SaslFailure(ProtocolError):
    """RFC 6120 §6.5: the authentication failed; the stream waits for another attempt."""

    metric = "sasl_failure"

    def __init__(self, condition: SaslCondition, text: str = "") -> None:
        super().__init__(f"{condition}: {text}" if text else str(condition))
        self.condition = condition
        self.text = text

    def to_bytes(self) -> bytes:
        """The `<failure/>`. Its elements share one namespace, so that the condition needs no declaration of its own."""
        text = f"<text xml:lang='en'>{escape(self.text)}</text>" if self.text else ""
        return f"<failure xmlns='{ns.SASL}'><{self.condition}/>{text}</failure>".encode()


def handled_count_too_high(h: int, sent: int) -> StreamError:
    """XEP-0198 §4: the peer acknowledged stanzas that were never sent. Both counts as they stand on the wire."""
    extra = f"<handled-count-too-high xmlns='{ns.SM}' h='{h}' send-count='{sent}'/>".encode()
    text = f"You acknowledged {h} stanzas, but I only sent you {sent} so far."
    return StreamError(StreamCondition.UNDEFINED_CONDITION, text, extra=extra)


class SeeOtherHost(StreamError):
    """RFC 6120 §4.9.3.19: the client shall go on at another `address`, "host:port"."""

    def __init__(self, address: str) -> None:
        super().__init__(StreamCondition.SEE_OTHER_HOST)
        self.address = address

    def to_bytes(self) -> bytes:
        """As `StreamError`; the condition carries the address."""
        condition = f"<{self.condition} xmlns='{ns.STREAM_ERRORS}'>{escape(self.address)}</{self.condition}>"
        return b"<stream:error>%b</stream:error>" % condition.encode()


def memory_full() -> StanzaError:
    """RFC 6120 §8.3.3.18: what somebody is told whose stanza would be stored where there is no room at the moment."""
    return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "the server has no memory left: try again later")


def store_away() -> StreamError:
    """RFC 6120 §4.9.3.6: nothing can be promised at the moment. Not remote-connection-failed, which is not for causes
    within the service (§4.9.3.15).
    """
    return StreamError(StreamCondition.INTERNAL_SERVER_ERROR, "the store does not answer: come back later, and resume")


def roster_full() -> StanzaError:
    """RFC 6121 §2.3.3: what a user is told whose roster takes no more items."""
    return StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "the roster is full")


def blocked_by_you() -> StanzaError:
    """XEP-0191 §3.3: what comes back of a stanza to somebody whom its sender blocks."""
    return StanzaError(
        StanzaCondition.NOT_ACCEPTABLE,
        "you block whom you write to",
        type=ErrorType.CANCEL,
        extra=f"<blocked xmlns='{ns.BLOCKING_ERRORS}'/>".encode(),
    )


def _condition(condition: StrEnum, namespace: str) -> bytes:
    return f"<{condition} xmlns='{namespace}'/>".encode()


def _text(text: str, namespace: str) -> bytes:
    return f"<text xmlns='{namespace}' xml:lang='en'>{escape(text)}</text>".encode() if text else b""
