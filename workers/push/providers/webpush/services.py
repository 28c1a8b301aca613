"""The push services that pushes go to: each with its connections, its credential and its breaker.

Their number is not ours to choose, as every user may name one of their own. So it is bounded, and so is what those may
hold that never answered well.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import gevent

from workers.push.breaker import Breaker, State
from workers.push.http1 import HttpPool
from workers.push.providers.webpush.vapid import Credential
from workers.push.reaction import Health
from workers.push.standing import Standing, states_of

KEPT_MOST: Final = 512
"""Services whose connections, breakers and tokens are remembered; the least recently used goes first."""

PRUNE_S: Final = 20.0

REFUSED_MOST: Final = 3
"""So many subscriptions in a row, none accepted between them, whose credential was refused mean that it is not they:
one alone may be bound to another key, and its user must not be able to stop everybody's pushes to a large service.
"""


@dataclass(eq=False)
class Service:
    """One origin under one credential."""

    origin: str = field(repr=False)
    label: str
    pool: HttpPool
    breaker: Breaker
    credential: Credential
    in_flight: int = 0
    is_proven: bool = False
    _refused: set[str] = field(default_factory=set, repr=False)

    def note(self, health: Health, reason: str, *, subscription: str, is_delivered: bool) -> None:
        """What an answer says about the service and our credential there."""
        if is_delivered:
            self._refused.clear()
            self.is_proven = True
        if health is Health.WELL:
            self.breaker.worked()
        elif health is Health.SERVER_FAULT:
            self.is_proven = False
            self.breaker.faulted(reason)
        else:
            if len(self._refused) < REFUSED_MOST:
                self._refused.add(subscription)
            if len(self._refused) >= REFUSED_MOST or self.breaker.state is State.HALF_OPEN:
                self.breaker.trip(reason)


@dataclass(frozen=True)
class ServiceRules:
    """`in_flight`: pushes that all services together may have under way. `connections`: to one service, at most."""

    in_flight: int = 500
    connections: int = 20

    @property
    def of_one(self) -> int:
        """What one service may hold of `in_flight`."""
        return max(1, self.in_flight // 4)

    @property
    def of_unproven(self) -> int:
        """What all those together may hold that have not taken a push yet, or failed last."""
        return max(1, self.in_flight // 2)


class Services:
    """Made when first needed; `close` ends them all."""

    def __init__(
        self,
        pool_of: Callable[[str, str], HttpPool],
        credential_of: Callable[[str], Credential],
        *,
        rules: ServiceRules,
        new_breaker: Callable[[], Breaker],
    ) -> None:
        self._pool_of = pool_of
        self._credential_of = credential_of
        self._rules = rules
        self._new_breaker = new_breaker
        self._services: OrderedDict[str, Service] = OrderedDict()
        self._unproven = 0
        self._pruning: gevent.Greenlet | None = None

    def __len__(self) -> int:
        return len(self._services)

    def of(self, origin: str, label: str) -> Service:
        """The service at an origin."""
        service = self._services.get(origin)
        if service is None:
            service = Service(
                origin,
                label,
                self._pool_of(origin, label),
                self._new_breaker(),
                self._credential_of(origin),
            )
            self._services[origin] = service
            while len(self._services) > KEPT_MOST:
                self._services.popitem(last=False)[1].pool.close()
        self._services.move_to_end(origin)
        return service

    def enter(self, service: Service) -> bool | None:
        """Take a place for one push. Answers None if there is none, else what `leave` wants back."""
        if service.in_flight >= self._rules.of_one:
            return None
        if not service.is_proven:
            if self._unproven >= self._rules.of_unproven:
                return None
            self._unproven += 1
        service.in_flight += 1
        return service.is_proven

    def leave(self, service: Service, was_proven: bool) -> None:
        """Give it back."""
        service.in_flight -= 1
        if not was_proven:
            self._unproven -= 1
        if self._pruning is None:
            self._pruning = gevent.spawn_later(PRUNE_S, self._prune)

    def standing(self) -> Standing:
        """Of all of them together. Which of them fail is not told: one may be a single user's."""
        known = self._services.values()
        return Standing(
            states_of(service.breaker for service in known),
            connections=sum(service.pool.connections for service in known),
            waiting=sum(service.pool.waiting for service in known),
        )

    def close(self) -> None:
        """Close all connections."""
        if self._pruning is not None:
            self._pruning.kill(block=False)
        for service in self._services.values():
            service.pool.close()

    def _prune(self) -> None:
        """Close connections that nobody used for a while; again and again, as long as any are open."""
        self._pruning = None
        if sum(service.pool.prune() for service in self._services.values()):
            self._pruning = gevent.spawn_later(PRUNE_S, self._prune)
