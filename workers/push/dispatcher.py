"""From a push event to its end: claim, push each registration in its credential's lane, record, retry or bury."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import gevent
from gevent.pool import Pool as Lane

from gateway.mailbox.pushes import Cancelled, Event, Pushes, Registration, Told, push_id
from gateway.mailbox.pushes import Later as TooSoon
from gateway.telemetry import get_logger, redact
from workers.push.apps import Apps
from workers.push.backoff import next_try, off_the_quarter
from workers.push.breaker import Breaker
from workers.push.encrypted import sealed_in
from workers.push.notification import Content, Push, collapse_id
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.provider import Provider
from workers.push.reading import Reading
from workers.push.rules import (
    CALL,
    MESSAGE,
    RESTART,
    Send,
    Skip,
    decide,
    floor_ms,
    for_device,
    hold_s,
    is_voip,
    kind_of,
    lifetime_s,
)
from workers.push.settings import APNS, FCM, PushSettings
from workers.push.summary import Summary

log = get_logger(__name__)

CROWDED_S: Final = 2.0
"""A push whose credential has too many under way comes back after about this long."""

APPSERVER: Final = "appserver"
ENCRYPTED: Final = "encrypted"
PUBLISHED: Final = "published"
"""the reason of an event for the device of another server's user"""
EXPIRED: Final = "expired"

LONGEST_WHY: Final = 200
"""characters of a reason that are kept"""


@dataclass(frozen=True)
class Job:
    """One push of one registration, on its way."""

    event: Event
    registration: Registration
    push: Push
    provider: Provider


class Dispatcher:
    """Handles events. Several greenlets call `handle`; a slow provider fills its own lane and no other."""

    def __init__(
        self, pushes: Pushes, apps: Apps, *, settings: PushSettings, clock: Callable[[], float] = time.time
    ) -> None:
        self._pushes = pushes
        self._apps = apps
        self._settings = settings
        self._clock = clock
        self._lanes: dict[Breaker, Lane] = {}

    @property
    def under_way(self) -> int:
        """Pushes that wait for their provider."""
        return sum(len(lane) for lane in self._lanes.values())

    def reload(self, settings: PushSettings) -> None:
        """Decide by these settings from now on. Lanes keep their size."""
        self._settings = settings

    def handle(self, event: Event) -> None:
        """Take an event to its end, or to the retries it needs. Raises StoreError: then it stays on its stream, and
        what was recorded is not done again.
        """
        kind = self._kind(event, event.kind)
        gevent.sleep(hold_s(kind, event.at_ms / 1000, settings=self._settings, now=self._clock()))
        claim = self._pushes.claim(
            event, floor_ms=floor_ms(kind, self._settings), active_grace_ms=int(self._settings.active_grace * 1000)
        )
        if isinstance(claim, TooSoon):
            log.debug("push_put_off", entry=event.id, wait_ms=claim.wait_ms)
            return
        if isinstance(claim, Cancelled):
            log.debug("push_cancelled", entry=event.id, reason=claim.reason)
            return
        decision = self._decide(event, self._kind(event, claim.kind), claim.count)
        reading = Reading(event.user, claim, now_ms=int(self._clock() * 1000))
        endings: list[bool | gevent.Greenlet] = []
        try:
            endings.extend(self._begin(event, registration, decision, reading) for registration in claim.registrations)
        finally:  # what was begun is under way: until it is done, nobody else is to take the event
            gevent.joinall([ending for ending in endings if isinstance(ending, gevent.Greenlet)])
        are_over = [self._is_over(ending) for ending in endings]
        self._pushes.done(event, final=all(are_over))

    def _decide(self, event: Event, kind: str, waiting: int) -> Send | Skip:
        return decide(kind, event.at_ms / 1000, waiting=waiting, settings=self._settings, now=self._clock())

    def _kind(self, event: Event, event_class: str) -> str:
        is_late = self._clock() - event.at_ms / 1000 >= self._settings.call_expiry
        return kind_of(event.reason, event_class, is_late=is_late)

    def _is_over(self, ending: bool | gevent.Greenlet) -> bool:
        """Has the registration's push an end, rather than a retry? Raises what its greenlet raised."""
        return bool(ending.get()) if isinstance(ending, gevent.Greenlet) else ending

    def _begin(
        self, event: Event, registration: Registration, decision: Send | Skip, reading: Reading
    ) -> bool | gevent.Greenlet:
        """Start a registration's push in its lane. Answers at once if there is nothing to start."""
        if isinstance(decision, Send) and decision.kind == CALL and not reading.is_call_wanted(registration):
            decision = self._decide(event, MESSAGE, reading.claim.count)
        if isinstance(decision, Send):
            decision = for_device(decision, reading.verdicts(registration), fresh=reading.claim.fresh)
        provider = self._apps.for_registration(registration)
        if provider is None:
            log.warning("push_app_unknown", app=registration.app)
            decision = Skip("unknown-app")
        if isinstance(decision, Send) and decision.kind == RESTART and not self._may_show_nothing(event, registration):
            decision = Skip("background-budget")
        if isinstance(decision, Skip) or provider is None:
            self._skip(event, registration, decision.reason if isinstance(decision, Skip) else "unknown-app")
            return True
        lane = self._lane(provider.breaker)
        push = self._push(event, registration, decision, reading)
        job = Job(event, registration, push, provider)
        if lane.full():
            self._put_back(job, CROWDED_S * random.uniform(0.5, 1.5), "crowded")  # noqa: S311 - no secret
            return False
        return lane.spawn(self._send, job)

    def _skip(self, event: Event, registration: Registration, reason: str) -> None:
        outcome = reason if reason == EXPIRED else f"skipped:{reason}"
        told = Told(
            push_id=push_id(event.bucket, event.id, _name(event, registration)),
            provider=self._provider_name(registration),
            why=reason,
            is_tried=False,
            after_ms=self._age_ms(event),
        )
        self._pushes.outcome(event, registration, outcome, told=told)

    def _may_show_nothing(self, event: Event, registration: Registration) -> bool:
        """Apple delivers but a few such pushes, and fewer to those who send many. (What stops a ringing phone goes.)"""
        if self._provider_name(registration) != APNS:
            return True
        gap_ms = int(self._settings.background_gap * 1000)
        return bool(event.only) or self._pushes.may_show_nothing(event, registration, gap_ms=gap_ms)

    def _lane(self, credential: Breaker) -> Lane:
        lane = self._lanes.get(credential)
        if lane is None:
            lane = self._lanes[credential] = Lane(self._settings.in_flight)
        return lane

    def _push(self, event: Event, registration: Registration, decision: Send, reading: Reading) -> Push:
        name = _name(event, registration)
        app = self._apps.settings.get(registration.app)
        ceiling = app.content if app is not None else self._settings.foreign_content if not registration.app else ""
        content = Content.allowed(ceiling, registration.content)
        is_told = content > Content.NONE or ceiling == ENCRYPTED or registration.key
        told = Summary()
        if is_told:
            told = reading.call if decision.kind == CALL else reading.newest(registration)
        return Push(
            app=registration.app,
            token=registration.token,
            push_id=push_id(event.bucket, event.id, name),
            expires_at=decision.expires_at,
            kind=decision.kind,
            urgent=decision.urgent,
            environment=registration.environment,
            count=decision.count,
            sender=told.sender,
            body=told.body,
            content=content,
            collapse_id=collapse_id(decision.kind, name),
            node=registration.node,
            voip_token=registration.voip_token if is_voip(decision.kind, self._age_ms(event) / 1000) else "",
            unread=reading.claim.unread,
            requests=reading.claim.requests,
            call=reading.claim.call,
            domain=event.user.rpartition("@")[2],
            sealed=sealed_in(reading.claim.newest.stanza)
            if event.reason == PUBLISHED and reading.claim.newest
            else None,
            registration=registration,
        )

    def _provider_name(self, registration: Registration) -> str:
        app = self._apps.settings.get(registration.app)
        return app.provider if app is not None else APPSERVER if not registration.app else "unknown"

    def _age_ms(self, event: Event) -> int:
        return int(self._clock() * 1000) - event.at_ms

    def _send(self, job: Job) -> bool:
        started = time.monotonic()
        outcome = job.provider.send(job.push)
        log.info(
            "push_ended",
            app=job.push.app,
            kind=job.push.kind,
            outcome=type(outcome).__name__,
            reason=str(getattr(outcome, "reason", "")),
            device=redact(job.push.token),
            push=job.push.push_id,
            attempt=job.event.attempt + 1,
            took_ms=int((time.monotonic() - started) * 1000),
            after_ms=self._age_ms(job.event),
        )
        return self._conclude(job, outcome)

    def _conclude(self, job: Job, outcome: Outcome) -> bool:
        """Record what came of it. Answers whether that is the end of it."""
        if isinstance(outcome, Delivered):
            return self._end(job, "delivered")
        if isinstance(outcome, TokenGone):
            return self._end(job, "token-gone", outcome.reason, dead=True, at_ms=outcome.at_ms or 0)
        if isinstance(outcome, Refused):
            if outcome.alert:
                self._pushes.bury(job.event, job.registration, outcome.reason)
            if outcome.reason == EXPIRED:
                if job.push.kind == CALL and self._clock() < self._worth_until(job):
                    self._put_back(job, max(0.0, job.push.expires_at - self._clock()), EXPIRED)
                    return False
                return self._end(job, EXPIRED, is_tried=False)
            return self._end(job, "refused", outcome.reason)
        return self._later(job, outcome)

    def _end(
        self, job: Job, state: str, why: str = "", *, is_tried: bool = True, dead: bool = False, at_ms: int = 0
    ) -> bool:
        told = self._told(job, why, is_tried=is_tried)
        self._pushes.outcome(job.event, job.registration, state, dead=dead, at_ms=at_ms, told=told)
        return True

    def _told(self, job: Job, why: str, *, is_tried: bool) -> Told:
        return Told(
            push_id=job.push.push_id,
            provider=self._provider_name(job.registration),
            why=why[:LONGEST_WHY],
            is_tried=is_tried,
            after_ms=self._age_ms(job.event),
            call=job.push.call if job.push.kind == CALL else "",
        )

    def _later(self, job: Job, outcome: Later) -> bool:
        if not outcome.is_tried:
            wait = (outcome.after_s or 0.0) + random.uniform(0.0, CROWDED_S)  # noqa: S311 - no secret
            if self._clock() + wait >= self._worth_until(job):
                return self._end(job, EXPIRED, outcome.reason, is_tried=False)
            self._put_back(job, wait, outcome.reason)
            return False
        if job.event.attempt + 1 >= self._settings.retry_limit:
            why = f"{job.event.attempt + 1} attempts, the last: {outcome.reason}"
            self._pushes.bury(job.event, job.registration, why)
            return self._end(job, "dead", why)
        wait_s = self._wait_s(job, outcome)
        if wait_s is None:
            return self._end(job, EXPIRED, outcome.reason)
        told = self._told(job, outcome.reason, is_tried=True)
        self._pushes.retry(job.event, job.registration, wait_ms=int(wait_s * 1000), told=told)
        return False

    def _worth_until(self, job: Job) -> float:
        """Until when it may be tried. A call of which nobody could be told in time is a message then."""
        if job.push.kind == CALL:
            return job.event.at_ms / 1000 + lifetime_s(MESSAGE, self._settings)
        return job.push.expires_at

    def _wait_s(self, job: Job, outcome: Later) -> float | None:
        now, expires_at = self._clock(), self._worth_until(job)
        wait = next_try(
            job.event.attempt + 1,
            now=now,
            expires_at=expires_at,
            wish_s=outcome.after_s,
            first_s=self._settings.retry_first,
            most_s=self._settings.retry_most,
            uniform=random.uniform,
        )
        # Google's advice is for crowds of retries; a few seconds' wait for one phone is better kept short.
        if wait is not None and wait >= 60 and self._provider_name(job.registration) == FCM:
            wait = off_the_quarter(now, wait, uniform=random.uniform)
            return wait if now + wait < expires_at else None
        return wait

    def _put_back(self, job: Job, wait_s: float, why: str) -> None:
        """The provider was not asked, so this is not counted as an attempt."""
        told = self._told(job, why, is_tried=False)
        self._pushes.retry(job.event, job.registration, wait_ms=int(wait_s * 1000), told=told)


def _name(event: Event, registration: Registration) -> str:
    """What names a device for the ids of its pushes."""
    return f"{event.user}\n{registration.field}"
