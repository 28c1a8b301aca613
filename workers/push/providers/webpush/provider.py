"""An app over Web Push: endpoint, payload, encryption, request, reaction, and at most one resend for what can be put
right at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from gateway.telemetry import get_logger, redact
from workers.push.breaker import Breaker
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.provider import Checked
from workers.push.providers.webpush.answers import react
from workers.push.providers.webpush.client import Client
from workers.push.providers.webpush.encryption import DeviceKeys, KeysError, encrypt
from workers.push.providers.webpush.endpoint import Endpoint, EndpointError
from workers.push.providers.webpush.payload import headers, payload, wake_only
from workers.push.providers.webpush.services import Service
from workers.push.reaction import Action, Health, Reaction
from workers.push.reply import Reply
from workers.push.settings import AppSettings
from workers.push.standing import Standing

log = get_logger(__name__)

CROWDED_S: Final = 2.0
"""A push whose service has too many under way comes back after about this long."""


@dataclass(frozen=True)
class _Attempt:
    endpoint: Endpoint = field(repr=False)
    authorization: str = field(repr=False)
    body: bytes = field(repr=False)


class WebPushProvider:
    """See `workers.push.provider.Provider`."""

    def __init__(
        self, app: AppSettings, client: Client, *, request_timeout_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._client = client
        self._timeout_s = request_timeout_s
        self._clock = clock

    @property
    def breaker(self) -> Breaker:
        """See `Provider`: never open. Push services fail one by one; see `breaker_of`."""
        return self._client.breaker

    def breaker_of(self, endpoint: str) -> Breaker:
        """That of one endpoint's push service under our credential. Raises EndpointError."""
        return self._service(Endpoint.of(endpoint, allow_private=self._app.allow_private)).breaker

    def send(self, push: Push) -> Outcome:
        """See `Provider`."""
        if push.expires_at <= self._clock():
            return Refused("expired", alert=False)
        try:
            endpoint = Endpoint.of(push.token, allow_private=self._app.allow_private)
            keys = _keys(push)
        except EndpointError as error:
            return TokenGone(None, error.reason) if error.malformed else Refused(error.reason, alert=False)
        except KeysError:
            return TokenGone(None, "keys malformed")
        service = self._service(endpoint)
        place = self._client.services.enter(service)
        if place is None:
            return Later(CROWDED_S * random.uniform(0.5, 1.5), "crowded", is_tried=False)  # noqa: S311 - no secret
        try:
            return self._send(push, endpoint, service, keys)
        finally:
            self._client.services.leave(service, place)

    def check(self) -> Checked:
        """See `Provider`: the key signs. Whom it has to convince, only a subscription names."""
        signer = self._client.signer
        signer.sign("https://push.example")
        return Checked(True, f"VAPID token signed; clients subscribe with the public key {signer.public_key}")

    def standing(self) -> Standing:
        """See `workers.push.standing.HasStanding`."""
        return self._client.services.standing()

    def close(self) -> None:
        """See `Provider`. Apps that share the credential are closed with it."""
        self._client.close()

    def _service(self, endpoint: Endpoint) -> Service:
        return self._client.services.of(endpoint.origin, endpoint.label)

    def _send(self, push: Push, endpoint: Endpoint, service: Service, keys: DeviceKeys | None) -> Outcome:
        wait = service.breaker.wait_s()
        if wait > 0:
            return Later(wait, f"breaker open: {service.breaker.reason}", is_tried=False)
        deadline = time.monotonic() + self._timeout_s
        done: set[Action] = set()
        body = b"" if keys is None else encrypt(payload(push, self._app), keys)
        attempt = _Attempt(endpoint, service.credential.value(), body)
        while True:
            try:
                reaction = self._ask(push, service, attempt, deadline)
            except EndpointError as error:
                # Not the service's fault and not ours: whoever owns the name lets it lead astray.
                log.warning("webpush_endpoint_refused", app=push.app, reason=error.reason, device=redact(push.token))
                return Refused(error.reason, alert=False)
            is_over = reaction.action is Action.NONE or reaction.action in done or time.monotonic() >= deadline
            again = None if is_over else self._put_right(push, service, attempt, reaction.action, keys)
            if again is None:
                return self._conclude(push, service, reaction)
            done.add(reaction.action)
            attempt = again

    def _ask(self, push: Push, service: Service, attempt: _Attempt, deadline: float) -> Reaction:
        fields = headers(push, authorization=attempt.authorization, is_encrypted=bool(attempt.body), now=self._clock())
        timeout_s = max(0.001, deadline - time.monotonic())
        result = service.pool.request(
            "POST", attempt.endpoint.target, headers=fields, body=attempt.body, timeout_s=timeout_s
        )
        if isinstance(result, Reply):
            return react(result, now=self._clock())
        return Reaction(Later(None, f"no answer: {result.reason}"), health=Health.SERVER_FAULT)

    def _put_right(
        self, push: Push, service: Service, attempt: _Attempt, action: Action, keys: DeviceKeys | None
    ) -> _Attempt | None:
        """Do what the reaction asks for; the attempt to make at once, or None."""
        if action is Action.NEW_TOKEN:
            renewed = service.credential.renewed(attempt.authorization)
            return None if renewed is None else replace(attempt, authorization=renewed)
        if action is Action.SHRINK and keys is not None:
            return replace(attempt, body=encrypt(wake_only(push), keys))
        return None

    def _conclude(self, push: Push, service: Service, reaction: Reaction) -> Outcome:
        outcome = reaction.outcome
        reason = str(getattr(outcome, "reason", ""))
        service.note(reaction.health, reason, subscription=push.token, is_delivered=isinstance(outcome, Delivered))
        if getattr(outcome, "alert", False):
            log.warning(
                "webpush_refused", app=push.app, service=service.label, reason=reason, device=redact(push.token)
            )
        return outcome


def _keys(push: Push) -> DeviceKeys | None:
    """The device's keys, or None if it gave none: then it is woken and told nothing. Raises KeysError."""
    registration = push.registration
    if registration is None or not (registration.p256dh or registration.auth):
        return None
    return DeviceKeys.of(registration.p256dh, registration.auth)
