"""An app at APNs: payload, request, reaction, and at most one resend for each thing that can be put right at once."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.mailbox.errors import StoreError
from gateway.telemetry import get_logger, redact
from workers.push.breaker import Breaker
from workers.push.http2.origin import Origin
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.provider import Checked
from workers.push.providers.apns.answers import react
from workers.push.providers.apns.client import Client
from workers.push.providers.apns.payload import Sort, headers, payload, sort_of, wake_only
from workers.push.providers.apns.settings import AUTO, OTHER, PRODUCTION, SANDBOX, origin_of
from workers.push.reaction import Action, Health, Reaction
from workers.push.reply import Reply
from workers.push.rules import CALL
from workers.push.settings import AppSettings
from workers.push.standing import Standing

log = get_logger(__name__)

LEARNED_MOST: Final = 20_000
_TOKEN: Final = re.compile(r"[0-9A-Fa-f]{8,512}")
_NOT_A_TOKEN: Final = TokenGone(None, "malformed")


@dataclass(frozen=True)
class _Attempt:
    environment: str
    bearer: str = field(repr=False)
    body: bytes = field(repr=False)


class ApnsProvider:
    """See `workers.push.provider.Provider`."""

    def __init__(
        self, app: AppSettings, client: Client, *, request_timeout_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._client = client
        self._timeout_s = request_timeout_s
        self._clock = clock
        self._origins = {environment: origin_of(app, environment) for environment in (PRODUCTION, SANDBOX)}
        self._learned: OrderedDict[str, str] = OrderedDict()

    @property
    def breaker(self) -> Breaker:
        """See `Provider`."""
        return self._client.breaker

    def send(self, push: Push) -> Outcome:
        """See `Provider`."""
        if push.expires_at <= self._clock():
            return Refused("expired", alert=False)
        if not _TOKEN.fullmatch(push.token):
            return _NOT_A_TOKEN
        wait = self._client.breaker.wait_s(may_wait=push.kind != CALL)
        if wait > 0:
            return Later(wait, self._client.breaker.why, is_tried=False)
        deadline = time.monotonic() + self._timeout_s
        try:
            if sort_of(push) is Sort.VOIP:
                outcome = self._begin(push, deadline) if _TOKEN.fullmatch(push.voip_token) else _NOT_A_TOKEN
                if not isinstance(outcome, (TokenGone, Refused)):
                    return outcome
                # The PushKit token has its own life: its end must neither silence the call nor end the registration.
                log.warning("apns_voip_refused", app=push.app, reason=_reason(outcome), device=redact(push.voip_token))
                push = replace(push, voip_token="")
            return self._begin(push, deadline)
        except StoreError as error:
            return Later(None, f"token store: {error}")

    def check(self) -> Checked:
        """See `Provider`: the key signs, and a connection that speaks HTTP/2 is there. What Apple thinks of the key, it
        says only in answer to a push.
        """
        environment = PRODUCTION if self._app.environment == AUTO else self._app.environment
        origin = self._origins[environment]
        signed = "certificate read" if self._client.token is None else "provider token signed"
        try:
            self._client.bearer()
        except StoreError as error:
            return Checked(False, f"token store: {error}")
        fault = self._client.pool(origin, self._app.topic).connect(self._timeout_s)
        if fault:
            return Checked(False, fault)
        return Checked(True, f"{signed} ({self._client.identity.name}), connected to {origin.host}:{origin.port}")

    def standing(self) -> Standing:
        """See `workers.push.standing.HasStanding`."""
        return self._client.standing()

    def close(self) -> None:
        """See `Provider`. Apps that share the credential are closed with it."""
        self._client.close()

    def _begin(self, push: Push, deadline: float) -> Outcome:
        first = _Attempt(self._environment(push), self._client.bearer(), payload(push, self._app))
        return self._send(push, first, deadline)

    def _send(self, push: Push, attempt: _Attempt, deadline: float) -> Outcome:
        done: set[Action] = set()
        while True:
            origin = self._origins[attempt.environment]
            reaction = self._ask(push, attempt, origin, deadline)
            self._client.note(reaction.health, _reason(reaction.outcome), origin, self._app.topic)
            if isinstance(reaction.outcome, Delivered):
                self._learn(push, attempt.environment)
                return reaction.outcome
            if getattr(reaction.outcome, "alert", False):
                log.warning("apns_refused", app=push.app, reason=_reason(reaction.outcome), device=redact(push.token))
            if reaction.action in done or time.monotonic() >= deadline:
                return reaction.outcome
            done.add(reaction.action)
            again = self._put_right(push, attempt, reaction.action)
            if again is None:
                return reaction.outcome
            attempt = again

    def _ask(self, push: Push, attempt: _Attempt, origin: Origin, deadline: float) -> Reaction:
        topic = self._app.topic
        request = headers(push, topic=topic, authority=origin.authority, bearer=attempt.bearer, now=self._clock())
        timeout_s = max(0.0, deadline - time.monotonic())
        result = self._client.pool(origin, topic).request(request, attempt.body, timeout_s=timeout_s)
        if isinstance(result, Reply):
            return react(result, now=self._clock())
        return Reaction(Later(None, f"no answer: {result.reason}"), health=Health.SERVER_FAULT)

    def _put_right(self, push: Push, attempt: _Attempt, action: Action) -> _Attempt | None:
        """Do what the reaction asks for; the attempt to make at once, or None."""
        token = self._client.token
        origin = self._origins[attempt.environment]
        if action is Action.OTHER_ENVIRONMENT:
            return replace(attempt, environment=OTHER[attempt.environment]) if self._is_auto(push) else None
        if action is Action.SHRINK:
            return replace(attempt, body=wake_only(push, self._app))
        if action in (Action.RECONNECT, Action.RECONNECT_ONLY):
            self._client.recycle(origin, self._app.topic)
            return attempt if action is Action.RECONNECT else None
        if action in (Action.NEW_TOKEN, Action.PREVIOUS_TOKEN) and token is not None:
            other = (token.renewed if action is Action.NEW_TOKEN else token.previous)(attempt.bearer)
            return None if other is None else replace(attempt, bearer=other)
        return None

    def _is_auto(self, push: Push) -> bool:
        return (push.environment or self._app.environment) == AUTO

    def _environment(self, push: Push) -> str:
        wanted = push.environment or self._app.environment
        if wanted == AUTO:
            return self._learned.get(push.token, PRODUCTION)
        return wanted if wanted in OTHER else PRODUCTION

    def _learn(self, push: Push, environment: str) -> None:
        """Only the exception is kept: production is what is tried first anyway."""
        if not self._is_auto(push):
            return
        if environment == PRODUCTION:
            self._learned.pop(push.token, None)
            return
        self._learned[push.token] = environment
        self._learned.move_to_end(push.token)
        while len(self._learned) > LEARNED_MOST:
            self._learned.popitem(last=False)


def _reason(outcome: Outcome) -> str:
    return str(getattr(outcome, "reason", ""))
