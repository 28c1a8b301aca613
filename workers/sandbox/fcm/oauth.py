"""The OAuth 2.0 token endpoint for service accounts: RFC 7523 assertions in, bearer tokens out.

"Using OAuth 2.0 for Server to Server Applications" gives the claims; the error texts are Google's.
"""

import secrets
from collections.abc import Collection
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import rsa

from gateway.errors import WakegateError
from workers.sandbox.http import HttpRequest, HttpResponse, json_response
from workers.sandbox.jose import BadToken, Jws, is_signed_rs256, numeric_date, read_jws
from workers.sandbox.state import State

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
SCOPES = frozenset(
    {
        "https://www.googleapis.com/auth/firebase.messaging",
        "https://www.googleapis.com/auth/cloud-platform",
    }
)
ASSERTION_LIFETIME_S = 3600
CLOCK_SKEW_S = 300
TOKENS_KEPT = 10_000


class OAuthError(WakegateError):
    """RFC 6749 section 5.2: an error code and a text."""

    metric = "sandbox_oauth_error"

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status


class TokenEndpoint:
    """Issues access tokens for one service account and knows which of them are good."""

    def __init__(self, state: State, *, client_email: str, key_id: str, key: rsa.RSAPublicKey) -> None:
        self._state = state
        self._client_email = client_email
        self._key_id = key_id
        self._key = key
        self._expiry: dict[str, float] = {}
        self.audiences: Collection[str] = ()

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answer POST /token."""
        counters = self._state.record.counters
        try:
            answer = self._issue(request)
        except OAuthError as error:
            counters["fcm_assertions_refused"] += 1
            return json_response({"error": error.code, "error_description": error.description}, error.status)
        counters["fcm_access_tokens"] += 1
        return json_response(answer)

    def is_good(self, access_token: str) -> bool:
        """Whether this access token was issued here and is neither expired nor revoked."""
        expiry = self._expiry.get(access_token)
        return expiry is not None and self._state.clock.now() < expiry

    def revoke_all(self) -> int:
        """Revoke every access token; returns how many there were."""
        revoked = len(self._expiry)
        self._expiry.clear()
        return revoked

    def _issue(self, request: HttpRequest) -> dict[str, Any]:
        form = parse_qs(request.body.decode("latin-1"))
        grant_type, assertion = (form.get(name, [""])[0] for name in ("grant_type", "assertion"))
        if grant_type != GRANT_TYPE:
            raise OAuthError("unsupported_grant_type", f"Invalid grant_type: {grant_type[:100]}")
        self._verify(assertion)
        token = "ya29." + secrets.token_urlsafe(96)
        lifetime_s = self._state.behaviour.fcm_access_token_lifetime_s
        self._expiry[token] = self._state.clock.now() + lifetime_s
        if len(self._expiry) > TOKENS_KEPT:
            del self._expiry[next(iter(self._expiry))]
        return {"access_token": token, "expires_in": lifetime_s, "token_type": "Bearer"}

    def _verify(self, assertion: str) -> None:
        try:
            jws = read_jws(assertion)
        except BadToken as error:
            raise OAuthError("invalid_grant", "Bad Request: the assertion is not a JWT") from error
        if jws.claims.get("iss") != self._client_email:
            raise OAuthError("invalid_grant", "Invalid grant: account not found")
        if jws.header.get("kid") not in (None, self._key_id) or not is_signed_rs256(jws, self._key):
            raise OAuthError("invalid_grant", "Invalid JWT Signature.")
        if jws.claims.get("aud") not in self.audiences:
            raise OAuthError("invalid_grant", "Invalid JWT: Failed audience check.")
        self._check_times(jws)
        scopes = str(jws.claims.get("scope", "")).split()
        if not scopes:
            raise OAuthError("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        if not SCOPES.intersection(scopes):
            raise OAuthError("invalid_scope", "The scopes do not allow sending messages.")

    def _check_times(self, jws: Jws) -> None:
        issued_at, expires_at = (numeric_date(jws.claims, name) for name in ("iat", "exp"))
        now = self._state.clock.now()
        if issued_at is None or expires_at is None or expires_at - issued_at > ASSERTION_LIFETIME_S:
            raise OAuthError(
                "invalid_grant",
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
                "Check your iat and exp values in the JWT claim.",
            )
        if expires_at < now - CLOCK_SKEW_S or issued_at > now + CLOCK_SKEW_S:
            raise OAuthError("invalid_grant", "Invalid JWT: Token is expired or not yet valid.")
