"""An app at FCM: payload, request, reaction, and one resend with a new access token."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.telemetry import get_logger, redact
from workers.push.breaker import Breaker
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.provider import Checked
from workers.push.providers.fcm.answers import react
from workers.push.providers.fcm.client import Client
from workers.push.providers.fcm.payload import check_message, payload
from workers.push.providers.fcm.token import AccessTokenError
from workers.push.reaction import Action, Health, Reaction
from workers.push.reply import Reply
from workers.push.rules import CALL
from workers.push.standing import Standing

log = get_logger(__name__)


class FcmProvider:
    """See `workers.push.provider.Provider`."""

    def __init__(self, client: Client, *, request_timeout_s: float, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._timeout_s = request_timeout_s
        self._clock = clock

    @property
    def breaker(self) -> Breaker:
        """See `Provider`."""
        return self._client.breaker

    def send(self, push: Push) -> Outcome:
        """See `Provider`."""
        now = self._clock()
        if push.expires_at <= now:
            return Refused("expired", alert=False)
        if not push.token:
            return TokenGone(None, "malformed")
        wait = self._client.breaker.wait_s(may_wait=push.kind != CALL)
        if wait > 0:
            return Later(wait, self._client.breaker.why, is_tried=False)
        reaction = self._ask(payload(push, now=now))
        reason = str(getattr(reaction.outcome, "reason", ""))
        self._client.note(reaction.health, reason)
        if not isinstance(reaction.outcome, Delivered) and getattr(reaction.outcome, "alert", False):
            log.warning("fcm_refused", app=push.app, reason=reason, device=redact(push.token))
        return reaction.outcome

    def check(self) -> Checked:
        """See `Provider`: a message with `validate_only`, which Google judges as any other."""
        reaction = self._ask(check_message())
        if isinstance(reaction.outcome, Delivered):
            token = self._client.token
            return Checked(True, f"{token.account} may send for project {token.project_id}")
        return Checked(False, str(getattr(reaction.outcome, "reason", "")))

    def standing(self) -> Standing:
        """See `workers.push.standing.HasStanding`."""
        return self._client.standing()

    def close(self) -> None:
        """See `Provider`. Apps that share the credential are closed with it."""
        self._client.close()

    def _ask(self, body: bytes) -> Reaction:
        deadline = time.monotonic() + self._timeout_s
        try:
            bearer = self._client.token.bearer()
            reaction = self._post(body, bearer, deadline)
            if reaction.action is Action.NEW_TOKEN:
                reaction = self._post(body, self._client.token.renewed(bearer), deadline)
        except AccessTokenError as error:
            health = Health.CREDENTIAL_FAULT if error.refused else Health.SERVER_FAULT
            return Reaction(Later(None, str(error), alert=error.refused), health=health)
        return reaction

    def _post(self, body: bytes, bearer: str, deadline: float) -> Reaction:
        result = self._client.send(body, bearer=bearer, timeout_s=max(0.001, deadline - time.monotonic()))
        if isinstance(result, Reply):
            return react(result, now=self._clock())
        return Reaction(Later(None, f"no answer: {result.reason}"), health=Health.SERVER_FAULT)
