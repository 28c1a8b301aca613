"""All app servers that a worker speaks to: one provider for each domain, with a breaker of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection

from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.settings import OfflineSettings, SmacksSettings
from gateway.sections import ComponentsSettings, ServerSettings
from gateway.settings import Settings
from gateway.xmpp.jid import JID, JIDError
from workers.push.breaker import Breaker, BreakerRules, State
from workers.push.providers.appserver.client import Client
from workers.push.providers.appserver.provider import AppServerProvider
from workers.push.standing import Standing, states_of


class AppServers:
    """Made for one worker. `domain`: where pushes come from that do not say for which domain they are."""

    def __init__(
        self,
        client: Client,
        *,
        domain: str,
        request_timeout_s: float,
        rules: BreakerRules | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` (UNIX seconds) is for expiry, `monotonic` for breakers."""
        self._client = client
        self._domain = domain
        self._timeout_s = request_timeout_s
        self._rules = rules or BreakerRules()
        self._clock = clock
        self._monotonic = monotonic
        self._providers: dict[str, AppServerProvider] = {}

    @classmethod
    def on(cls, journal: Journal, settings: Settings, *, request_timeout_s: float) -> AppServers:
        """Those of an installation: its external components (XEP-0114), by way of their mailboxes."""
        mailbox = Mailbox(
            journal,
            node="",
            smacks=settings.of(SmacksSettings),
            offline=settings.of(OfflineSettings),
            components=settings.of(ComponentsSettings).domains,
        )
        domain = settings.of(ServerSettings).domains[0]
        return cls(Client(mailbox), domain=domain, request_timeout_s=request_timeout_s)

    def of(self, service: str) -> AppServerProvider:
        """The provider for an app server's JID. Those that cannot be reached share one, as do those that are none."""
        try:
            jid = JID.parse(service)
            name = jid.domain if self._client.is_within_reach(jid) else ""
        except JIDError:
            jid, name = JID.parse(self._domain), ""
        provider = self._providers.get(name)
        if provider is None:
            provider = self._providers[name] = AppServerProvider(
                self._client,
                Breaker(self._rules, clock=self._monotonic),
                service=jid,
                domain=self._domain,
                request_timeout_s=self._timeout_s,
                clock=self._clock,
            )
        return provider

    def standing(self, *, but: Collection[Breaker] = ()) -> Standing:
        """Of all of them together, but those with these breakers."""
        breakers = [provider.breaker for provider in self._providers.values() if provider.breaker not in but]
        why = next((breaker.reason for breaker in breakers if breaker.state is not State.CLOSED), "")
        return Standing(states_of(breakers), why)

    def close(self) -> None:
        """Nobody is answered any more."""
        self._client.close()
