"""aioxmpp as it is, driven by a test: python -m tests.support.aioxmpp_runner"""

import asyncio
import logging
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import aioxmpp
import aioxmpp.connector
import aioxmpp.dispatcher
import OpenSSL.crypto

from tests.support.runner_io import Login, commands, tell

_CONNECTORS = {"starttls": aioxmpp.connector.STARTTLSConnector, "direct": aioxmpp.connector.XMPPOverTLSConnector}


class ExactCertificate(aioxmpp.security_layer.CertificateVerifier):  # type: ignore[misc]  # aioxmpp is untyped
    """Trusts one certificate. aioxmpp's own check asks for a method that pyOpenSSL dropped in version 24.3."""

    def __init__(self, cafile: str) -> None:
        self._trusted = OpenSSL.crypto.load_certificate(OpenSSL.crypto.FILETYPE_PEM, Path(cafile).read_bytes())

    def verify_callback(self, _connection: Any, certificate: Any, _error: int, depth: int, _preverified: int) -> bool:
        return depth > 0 or certificate.digest("sha256") == self._trusted.digest("sha256")

    async def post_handshake(self, transport: Any) -> None:
        """Nothing is left to check."""


class Runner:
    """A managed client: it reconnects and resumes by itself."""

    def __init__(self, login: Login) -> None:
        async def password(_jid: Any, attempt: int) -> str | None:
            return login.password if attempt == 0 else None

        security = aioxmpp.make_security_layer(password, no_verify=True)
        security = security._replace(certificate_verifier_factory=lambda: ExactCertificate(login.cafile))
        self.client = aioxmpp.PresenceManagedClient(
            aioxmpp.JID.fromstr(login.jid),
            security,
            override_peer=[(login.host, login.port, _CONNECTORS[login.tls]())],
        )
        self.client.backoff_start = timedelta(seconds=0.2)
        self.client.backoff_cap = timedelta(seconds=1)
        self.client.on_stream_established.connect(self._online)
        self.client.on_stream_resumed.connect(lambda: tell("resumed"))
        self.client.on_stream_suspended.connect(lambda reason: tell("lost", reason=str(reason)))
        self.client.on_stream_destroyed.connect(lambda *_: tell("failed"))
        self.client.on_failure.connect(lambda error: tell("refused", reason=str(error)))
        dispatcher = self.client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
        dispatcher.register_callback(None, None, self._message)
        self.client.presence = aioxmpp.PresenceState(available=True)

    def _online(self) -> None:
        tell("online", jid=str(self.client.local_jid), resumable=self.client.stream.sm_resumable)

    def _message(self, message: Any) -> None:
        if message.body and message.type_ != aioxmpp.MessageType.ERROR:
            tell("message", id=message.id_, sender=str(message.from_), body=message.body.any())

    def say(self, to: str, body: str, stanza_id: str) -> None:
        message = aioxmpp.Message(to=aioxmpp.JID.fromstr(to), type_=aioxmpp.MessageType.CHAT, id_=stanza_id)
        message.body[None] = body

        def moved(_token: Any, state: Any) -> None:
            # COMPAT(aioxmpp, 0.13): a link that is cut while it writes may end the whole client with a RuntimeError.
            if state == aioxmpp.stream.StanzaState.SENT:
                tell("sent", id=stanza_id)
            elif state == aioxmpp.stream.StanzaState.ACKED:
                tell("accepted", id=stanza_id)

        self.client.stream.enqueue_stanza(message, on_state_change=moved)


async def main() -> None:
    runner: Runner | None = None
    async for command in commands():
        match command.pop("do"):
            case "login":
                runner = Runner(Login(**command))
            case "send" if runner:
                runner.say(command["to"], command["body"], command["id"])
            case "quit":
                break
    if runner is not None:
        runner.client.presence = aioxmpp.PresenceState(available=False)
        for _ in range(40):
            if not runner.client.running:
                break
            await asyncio.sleep(0.05)
        runner.client.stop()
    tell("bye")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main())
