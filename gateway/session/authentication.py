"""RFC 6120 section 6: one SASL authentication, with the look-ups and hashing that its mechanism asks for."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping

import gevent

from gateway.limits.logins import FREE, Attempt, TooManyTries
from gateway.mailbox.errors import StoreUnavailable
from gateway.session.node import Node
from gateway.xmpp.errors import SaslCondition, SaslFailure
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.sasl import mechanisms
from gateway.xmpp.sasl.credentials import Credentials, decoy, verify
from gateway.xmpp.sasl.exchange import Challenge, Exchange, NeedCredentials, Success, VerifyPassword
from gateway.xmpp.stanza import Element

SASL_NS = "urn:ietf:params:xml:ns:xmpp-sasl"

HASH_TIMEOUT_S = 20.0
"""for one PBKDF2 run in the thread pool, which may have a queue during a login storm"""


def _element(name: str, text: str) -> bytes:
    return f"<{name} xmlns='{SASL_NS}'>{text}</{name}>".encode() if text else f"<{name} xmlns='{SASL_NS}'/>".encode()


class Authentication:
    """Authenticates one client for `domain`; `write` sends to it. Failed tries are counted by the caller; `attempt` is
    asked for leave before each look at a password or a proof of one, by account (bare JID, "" for none).
    """

    def __init__(
        self,
        node: Node,
        *,
        domain: str,
        offered: tuple[str, ...],
        bindings: Mapping[str, bytes],
        write: Callable[[bytes], None],
        attempt: Callable[[str], Attempt] = lambda _account: FREE,
    ) -> None:
        self._node = node
        self._domain = domain
        self._offered = offered
        self._bindings = bindings
        self._write = write
        self._begin = attempt
        self._attempt = FREE
        self._exchange: Exchange | None = None
        self._is_disabled = False

    def receive(self, element: Element) -> JID | None:
        """Take <auth/>, <response/> or <abort/>. Answers the bare JID once authenticated; raises SaslFailure."""
        if element.name == "abort":
            self._exchange = None
            self._attempt.failed()
            raise SaslFailure(SaslCondition.ABORTED)
        text = element.inner.decode("utf-8", "replace")
        if element.name == "auth":
            self._exchange = mechanisms.begin(
                element.attrs.get("mechanism", ""),
                offered=self._offered,
                nonce=secrets.token_urlsafe(24),
                channel_bindings=self._bindings,
            )
            data = mechanisms.decode_initial(text)
        elif element.name == "response" and self._exchange is not None:
            data = mechanisms.decode_response(text)
        else:
            raise SaslFailure(SaslCondition.MALFORMED_REQUEST)
        try:
            return self._advance(self._exchange, data)
        except SaslFailure as failure:
            self._exchange = None
            if failure.condition is SaslCondition.TEMPORARY_AUTH_FAILURE:
                self._attempt.dropped()
            else:
                self._attempt.failed()
            raise

    def _advance(self, exchange: Exchange, data: bytes | None) -> JID | None:
        step = exchange.step(data)
        while True:
            if isinstance(step, Challenge):
                self._write(_element("challenge", mechanisms.encode_challenge(step.data)))
                return None
            if isinstance(step, NeedCredentials):
                step = exchange.supply(self._credentials(step.username)[0])
            elif isinstance(step, VerifyPassword):
                credentials, exists = self._credentials(step.username)
                is_right = self._hash(verify, step.password, credentials)
                step = exchange.verified(is_right and exists)
            else:
                return self._succeed(step)

    def _succeed(self, success: Success) -> JID:
        self._attempt.succeeded()
        jid = self._account(success.username)
        if jid is None:
            raise SaslFailure(SaslCondition.NOT_AUTHORIZED)
        if self._is_disabled:  # told only to those who know the password
            raise SaslFailure(SaslCondition.ACCOUNT_DISABLED)
        if success.authzid:
            try:
                wanted = JID.parse(success.authzid)
            except JIDError as error:
                raise SaslFailure(SaslCondition.INVALID_AUTHZID) from error
            if wanted.bare != jid:
                raise SaslFailure(SaslCondition.INVALID_AUTHZID)
        self._write(_element("success", mechanisms.encode_success(success.data)))
        return jid

    def _account(self, username: str) -> JID | None:
        try:
            return (
                JID.parse(f"{username}@{self._domain}")
                if username and "@" not in username and "/" not in username
                else None
            )
        except JIDError:
            return None

    def _credentials(self, username: str) -> tuple[Credentials, bool]:
        """An account's credentials, or a decoy's, so that nobody learns which accounts there are."""
        jid = self._account(username)
        self._attempt.failed()  # one that was left alone for this one
        try:
            self._attempt = self._begin(str(jid) if jid is not None else "")
        except TooManyTries as error:
            raise SaslFailure(SaslCondition.TEMPORARY_AUTH_FAILURE) from error
        try:
            fields = self._node.accounts.credentials(str(jid)) if jid is not None else None
        except StoreUnavailable as error:
            raise SaslFailure(SaslCondition.TEMPORARY_AUTH_FAILURE) from error
        if fields is None:
            # By the address: an account has one salt however its name is written, and another one at each domain.
            return decoy(str(jid) if jid is not None else username, self._node.decoy_secret), False
        self._is_disabled = "disabled" in fields
        return Credentials.from_fields(fields), True

    @staticmethod
    def _hash(function: Callable[..., bool], *arguments: object) -> bool:
        try:
            with gevent.Timeout(HASH_TIMEOUT_S, TimeoutError("hashing")):
                return bool(gevent.get_hub().threadpool.apply(function, arguments))
        except TimeoutError as error:
            raise SaslFailure(SaslCondition.TEMPORARY_AUTH_FAILURE) from error
