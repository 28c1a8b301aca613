"""From a push event to its end: claim, push each registration in its credential's lane, record, retry or bury."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import gevent
from gevent.pool import Pool as Lane

from gateway.mailbox.pushes import Cancelled, Event, Pushes, Registration
from gateway.mailbox.pushes import Later as TooSoon
from gateway.telemetry import get_logger, redact
from workers.push.apps import Apps
from workers.push.backoff import next_try, off_the_quarter
from workers.push.breaker import Breaker
from workers.push.notification import Content, Push, collapse_id, push_id
from workers.push.outcome import Delivered, Later, Outcome, Refused, TokenGone
from workers.push.rules import Send, Skip, decide, floor_ms, hold_s, kind_of
from workers.push.settings import FCM, AppSettings, PushSettings
from workers.push.summary import Summary, summary

log = get_logger(__name__)

CROWDED_S: Final = 2.0
"""A push whose credential has too many under way comes back after about this long."""


@dataclass(frozen=True)
class Job:
    """One push of one registration, on its way."""

    event: Event
    registration: Registration
    push: Push


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

    def handle(self, event: Event) -> None:
        """Take an event to its end, or to the retries it needs. Raises StoreError: then it stays on its stream, and
        what was recorded is not done again.
        """
        kind = kind_of(event.reason, event.kind)
        gevent.sleep(hold_s(kind, event.at_ms / 1000, settings=self._settings, now=self._clock()))
        claim = self._pushes.claim(event, floor_ms=floor_ms(kind, self._settings))
        if isinstance(claim, TooSoon):
            log.debug("push_put_off", entry=event.id, wait_ms=claim.wait_ms)
            return
        if isinstance(claim, Cancelled):
            log.debug("push_cancelled", entry=event.id, reason=claim.reason)
            return
        decision = decide(kind, event.at_ms / 1000, waiting=claim.count, settings=self._settings, now=self._clock())
        told = summary(claim.newest.stanza) if claim.newest is not None else Summary()
        endings = [self._begin(event, registration, decision, told) for registration in claim.registrations]
        gevent.joinall([ending for ending in endings if isinstance(ending, gevent.Greenlet)])
        are_over = [self._is_over(ending) for ending in endings]
        self._pushes.done(event, final=all(are_over))

    def _is_over(self, ending: bool | gevent.Greenlet) -> bool:
        """Has the registration's push an end, rather than a retry? Raises what its greenlet raised."""
        return bool(ending.get()) if isinstance(ending, gevent.Greenlet) else ending

    def _begin(
        self, event: Event, registration: Registration, decision: Send | Skip, told: Summary
    ) -> bool | gevent.Greenlet:
        """Start a registration's push in its lane. Answers at once if there is nothing to start."""
        if isinstance(decision, Skip):
            self._pushes.outcome(event, registration, decision.reason)
            return True
        if registration.app not in self._apps:
            # XEP-0357 services of others end here too, until the appserver provider is there.
            log.warning("push_app_unknown", app=registration.app, service=registration.service)
            self._pushes.outcome(event, registration, "unknown-app")
            return True
        lane = self._lane(self._apps[registration.app].breaker)
        if lane.full():
            self._put_back(event, registration, CROWDED_S * random.uniform(0.5, 1.5))  # noqa: S311 - no secret
            return False
        push = self._push(event, registration, decision, told)
        return lane.spawn(self._send, Job(event, registration, push))

    def _lane(self, credential: Breaker) -> Lane:
        lane = self._lanes.get(credential)
        if lane is None:
            lane = self._lanes[credential] = Lane(self._settings.in_flight)
        return lane

    def _push(self, event: Event, registration: Registration, decision: Send, told: Summary) -> Push:
        name = f"{event.user}\n{registration.field}"
        return Push(
            app=registration.app,
            token=registration.token,
            push_id=push_id(event.id, name),
            expires_at=decision.expires_at,
            kind=decision.kind,
            urgent=decision.urgent,
            environment=registration.environment,
            count=decision.count,
            sender=told.sender,
            body=told.body,
            content=Content.allowed(self._app(registration).content, registration.content),
            collapse_id=collapse_id(decision.kind, name),
            node=registration.node,
        )

    def _app(self, registration: Registration) -> AppSettings:
        return self._apps.settings[registration.app]

    def _send(self, job: Job) -> bool:
        started = time.monotonic()
        outcome = self._apps[job.push.app].send(job.push)
        log.info(
            "push_ended",
            app=job.push.app,
            kind=job.push.kind,
            outcome=type(outcome).__name__,
            reason=str(getattr(outcome, "reason", "")),
            device=redact(job.push.token),
            attempt=job.event.attempt + 1,
            took_ms=int((time.monotonic() - started) * 1000),
            after_ms=int(self._clock() * 1000) - job.event.at_ms,
        )
        return self._conclude(job, outcome)

    def _conclude(self, job: Job, outcome: Outcome) -> bool:
        """Record what came of it. Answers whether that is the end of it."""
        event, registration = job.event, job.registration
        if isinstance(outcome, Delivered):
            self._pushes.outcome(event, registration, "delivered")
            return True
        if isinstance(outcome, TokenGone):
            self._pushes.outcome(event, registration, "token-gone", dead=True, at_ms=outcome.at_ms or 0)
            return True
        if isinstance(outcome, Refused):
            if outcome.alert:
                self._pushes.bury(event, registration, outcome.reason)
            self._pushes.outcome(event, registration, "refused" if outcome.alert else outcome.reason)
            return True
        return self._later(job, outcome)

    def _later(self, job: Job, outcome: Later) -> bool:
        event, registration = job.event, job.registration
        if not outcome.is_tried:
            wait = (outcome.after_s or 0.0) + random.uniform(0.0, CROWDED_S)  # noqa: S311 - no secret
            if self._clock() + wait >= job.push.expires_at:
                self._pushes.outcome(event, registration, "expired")
                return True
            self._put_back(event, registration, wait)
            return False
        if event.attempt + 1 >= self._settings.retry_limit:
            self._pushes.bury(event, registration, f"{event.attempt + 1} attempts, the last: {outcome.reason}")
            self._pushes.outcome(event, registration, "dead-letter")
            return True
        retry = self._wait_s(job, outcome)
        if retry is None:
            self._pushes.outcome(event, registration, "expired")
            return True
        self._pushes.retry(event, registration, wait_ms=int(retry * 1000))
        return False

    def _wait_s(self, job: Job, outcome: Later) -> float | None:
        now = self._clock()
        wait = next_try(
            job.event.attempt + 1,
            now=now,
            expires_at=job.push.expires_at,
            wish_s=outcome.after_s,
            first_s=self._settings.retry_first,
            most_s=self._settings.retry_most,
            uniform=random.uniform,
        )
        # Google's advice is for crowds of retries; a few seconds' wait for one phone is better kept short.
        if wait is not None and wait >= 60 and self._app(job.registration).provider == FCM:
            wait = off_the_quarter(now, wait, uniform=random.uniform)
            return wait if now + wait < job.push.expires_at else None
        return wait

    def _put_back(self, event: Event, registration: Registration, wait_s: float) -> None:
        """The provider was not asked, so this is not counted as an attempt: `retry` adds the one that is taken off
        here.
        """
        self._pushes.retry(replace(event, attempt=event.attempt - 1), registration, wait_ms=int(wait_s * 1000))
