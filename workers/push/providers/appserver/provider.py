"""An app server: the request, whether it was that app server which answered, and what follows."""

from __future__ import annotations

import time
from collections.abc import Callable

from gateway.mailbox.push_answers import Answer
from gateway.telemetry import get_logger, redact
from gateway.xmpp import ns
from gateway.xmpp.jid import JID, JIDError
from workers.push.breaker import Breaker
from workers.push.notification import Push
from workers.push.outcome import Delivered, Later, Outcome, Refused
from workers.push.provider import Checked
from workers.push.providers.appserver.answers import react
from workers.push.providers.appserver.client import Client
from workers.push.providers.appserver.payload import publish
from workers.push.reaction import Health

log = get_logger(__name__)


class AppServerProvider:
    """See `workers.push.provider.Provider`. One for each app server, so that one which is away delays no other.

    `domain` is where this server speaks from when a push does not say for which of its domains it is.
    """

    def __init__(
        self,
        client: Client,
        breaker: Breaker,
        *,
        service: JID,
        domain: str,
        request_timeout_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._breaker = breaker
        self._service = service
        self._domain = domain
        self._timeout_s = request_timeout_s
        self._clock = clock

    @property
    def breaker(self) -> Breaker:
        """See `Provider`."""
        return self._breaker

    def send(self, push: Push) -> Outcome:
        """See `Provider`. The node is the registration's, or of an app in the configuration the device's token."""
        now = self._clock()
        if push.expires_at <= now:
            return Refused("expired", alert=False)
        wait = self._breaker.wait_s(may_wait=push.kind != "call")
        if wait > 0:
            return Later(wait, self._breaker.why, is_tried=False)
        try:
            service = self._service_of(push)
        except JIDError:
            return Refused("jid-malformed", alert=True)
        node = push.token if push.app else push.node
        answer = self._client.ask(
            service, sender=push.domain or self._domain, payload=publish(push, node=node), timeout_s=self._timeout_s
        )
        if not _is_from(service, answer):
            return Later(None, "somebody else answered")
        reaction = react(answer, push_id=push.push_id, asked_ms=int(now * 1000))
        self._note(reaction.health, answer.condition)
        if not isinstance(reaction.outcome, Delivered) and getattr(reaction.outcome, "alert", False):
            log.warning("app_server_refused", app=push.app, reason=answer.condition, device=redact(node))
        return reaction.outcome

    def check(self) -> Checked:
        """See `Provider`: a ping (XEP-0199), which the app server need not know to be there."""
        ping = f"<ping xmlns='{ns.PING}'/>".encode()
        answer = self._client.ask(
            self._service, sender=self._domain, payload=ping, timeout_s=self._timeout_s, type_="get"
        )
        if answer.type == "result" or answer.condition in ("service-unavailable", "feature-not-implemented"):
            return Checked(True, f"{self._service} is connected, and answers")
        return Checked(False, f"{self._service} does not answer: {answer.condition}")

    def close(self) -> None:
        """See `Provider`. The client is shared, and closed by who made it."""

    def _service_of(self, push: Push) -> JID:
        """What was registered may be more than a domain, such as `push@apps.example`. Raises JIDError."""
        if push.app or push.registration is None:
            return self._service
        return JID.parse(push.registration.service)

    def _note(self, health: Health, reason: str) -> None:
        if health is Health.SERVER_FAULT:
            self._breaker.faulted(reason)
        else:
            self._breaker.worked()


def _is_from(service: JID, answer: Answer) -> bool:
    """An id can be guessed; but who answers, the server vouches for."""
    try:
        return JID.parse(answer.service).bare == service.bare
    except JIDError:
        return False
