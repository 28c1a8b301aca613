"""FCM's errors: Google's JSON structure, and the table of error codes ("ErrorCode" of the FCM v1 reference)."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.errors import WakegateError

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
HELP = "type.googleapis.com/google.rpc.Help"
QUOTA_FAILURE = "type.googleapis.com/google.rpc.QuotaFailure"
ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo"

# google.rpc.Code -> HTTP status.
HTTP_STATUS: Mapping[str, int] = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
}


@dataclass(frozen=True)
class FcmCode:
    """What goes with an FCM error code: the google.rpc status and Google's text."""

    status: str
    message: str


FCM_CODES: Mapping[str, FcmCode] = {
    "INVALID_ARGUMENT": FcmCode("INVALID_ARGUMENT", "The registration token is not a valid FCM registration token"),
    "UNREGISTERED": FcmCode("NOT_FOUND", "Requested entity was not found."),
    "SENDER_ID_MISMATCH": FcmCode("PERMISSION_DENIED", "SenderId mismatch"),
    "QUOTA_EXCEEDED": FcmCode("RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Messages sent'."),
    "UNAVAILABLE": FcmCode("UNAVAILABLE", "The service is currently unavailable."),
    "INTERNAL": FcmCode("INTERNAL", "Internal error encountered."),
    "THIRD_PARTY_AUTH_ERROR": FcmCode("UNAUTHENTICATED", "Request is missing required authentication credential."),
    "UNSPECIFIED_ERROR": FcmCode("INTERNAL", "An unspecified error occurred."),
}


@dataclass(frozen=True)
class Violation:
    """One field that is wrong: its path with dots, and why."""

    field: str
    description: str


class FcmRefusal(WakegateError):
    """FCM's answer to a request it does not accept. `code` is the FcmError code, "" where Google gives none."""

    metric = "sandbox_fcm_refusal"

    def __init__(
        self,
        status: str,
        message: str,
        *,
        code: str = "",
        details: tuple[dict[str, Any], ...] = (),
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.rpc_status = status
        self.message = message
        self.code = code
        self.details = details
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        """The HTTP status."""
        return HTTP_STATUS[self.rpc_status]

    def as_json(self) -> dict[str, Any]:
        """Google's error object (google.rpc.Status in JSON)."""
        return error_object(self.status, self.rpc_status, self.message, self._all_details())

    def _all_details(self) -> list[dict[str, Any]]:
        own = [{"@type": FCM_ERROR, "errorCode": self.code}] if self.code else []
        return [*self.details, *own]


def error_object(code: int, status: str, message: str, details: list[dict[str, Any]]) -> dict[str, Any]:
    """`{"error": ...}` as Google's front end writes it; without details it leaves the member out."""
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = details
    return {"error": error}


def of_code(code: str) -> FcmRefusal:
    """The refusal of an FcmError code. Raises KeyError."""
    entry = FCM_CODES[code]
    details: tuple[dict[str, Any], ...] = ()
    if code == "INVALID_ARGUMENT":
        details = (_violations_detail((Violation("message.token", "Invalid registration token"),)),)
    return FcmRefusal(entry.status, entry.message, code=code, details=details)


def invalid_json(*violations: Violation) -> FcmRefusal:
    """The front end could not map the JSON to the message type: violations, and no FcmError beside them."""
    message = "\n".join(violation.description for violation in violations)
    return FcmRefusal("INVALID_ARGUMENT", message, details=(_violations_detail(violations),))


def invalid_message(field: str, description: str) -> FcmRefusal:
    """FCM itself found a field wrong: a violation and an FcmError."""
    detail = _violations_detail((Violation(field, description),))
    return FcmRefusal("INVALID_ARGUMENT", description, code="INVALID_ARGUMENT", details=(detail,))


def over_quota(description: str, *, subject: str, retry_after_s: float | None = None) -> FcmRefusal:
    """429 with the quota that was used up ("ErrorCode": an extension of type google.rpc.QuotaFailure is returned)."""
    detail = {"@type": QUOTA_FAILURE, "violations": [{"subject": subject, "description": description}]}
    return FcmRefusal(
        "RESOURCE_EXHAUSTED",
        f"{description} for quota metric '{subject}'.",
        code="QUOTA_EXCEEDED",
        details=(detail,),
        retry_after_s=retry_after_s,
    )


def mixed_details(code: str) -> list[dict[str, Any]]:
    """An FcmError between details of other kinds, as Google may add them at any time (google.rpc error details)."""
    return [
        {"@type": ERROR_INFO, "reason": code, "domain": "fcm.googleapis.com", "metadata": {"errorCode": "IGNORED"}},
        _violations_detail((Violation("message.android", "A violation of another kind"),)),
        {"@type": FCM_ERROR, "errorCode": code},
        {"@type": HELP, "links": [{"description": "Send a message", "url": "https://firebase.google.com/docs"}]},
    ]


def unauthenticated(reason: str) -> FcmRefusal:
    """401 of the front end; `reason` as in google.rpc.ErrorInfo."""
    message = (
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid "
        "authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    detail = {
        "@type": ERROR_INFO,
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {
            "service": "fcm.googleapis.com",
            "method": "google.firebase.fcm.v1.FcmService.SendMessage",
        },
    }
    return FcmRefusal("UNAUTHENTICATED", message, details=(detail,))


def _violations_detail(violations: tuple[Violation, ...]) -> dict[str, Any]:
    return {
        "@type": BAD_REQUEST,
        "fieldViolations": [{"field": v.field, "description": v.description} for v in violations],
    }
