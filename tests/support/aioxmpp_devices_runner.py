"""aioxmpp as one of an account's devices, as it is, driven by a test: python -m tests.support.aioxmpp_devices_runner"""

import asyncio
import logging
import sys
from typing import Any

import aioxmpp
import aioxmpp.blocking
import aioxmpp.carbons
import aioxmpp.dispatcher
import aioxmpp.misc
import aioxmpp.ping

from tests.support.aioxmpp_runner import ExactCertificate
from tests.support.runner_io import Login, commands, tell


class Runner:
    """A managed client that tells everything it is shown."""

    def __init__(self, login: Login) -> None:
        async def password(_jid: Any, attempt: int) -> str | None:
            return login.password if attempt == 0 else None

        security = aioxmpp.make_security_layer(password, no_verify=True)
        security = security._replace(certificate_verifier_factory=lambda: ExactCertificate(login.cafile))
        self.client = aioxmpp.PresenceManagedClient(
            aioxmpp.JID.fromstr(login.jid),
            security,
            override_peer=[(login.host, login.port, aioxmpp.connector.STARTTLSConnector())],
        )
        self.blocking = self.client.summon(aioxmpp.BlockingClient)
        self.carbons = self.client.summon(aioxmpp.CarbonsClient)
        self.blocking.on_jids_blocked.connect(lambda jids: tell("blocked", jids=sorted(map(str, jids))))
        self.blocking.on_jids_unblocked.connect(lambda jids: tell("unblocked", jids=sorted(map(str, jids))))
        self.client.on_stream_established.connect(lambda: tell("online", jid=str(self.client.local_jid)))
        self.client.on_failure.connect(lambda error: tell("failure", reason=str(error)))
        dispatcher = self.client.summon(aioxmpp.dispatcher.SimpleMessageDispatcher)
        dispatcher.register_callback(None, None, self._message)

    def _message(self, message: Any) -> None:
        for way, carbon in (("received", message.xep0280_received), ("sent", message.xep0280_sent)):
            if carbon is not None and message.from_ == self.client.local_jid.bare():
                inner = carbon.stanza
                tell("carbon", way=way, sender=str(inner.from_), to=str(inner.to), body=inner.body.any())
                return
        if message.type_ == aioxmpp.MessageType.ERROR:
            tell("error", condition=message.error.condition.value[1])
        elif message.body:
            tell("message", sender=str(message.from_), body=message.body.any())

    async def _ping(self) -> None:
        await aioxmpp.ping.ping(self.client, self.client.local_jid.replace(localpart=None, resource=None))

    async def do(self, command: dict[str, Any]) -> Any:
        match command["do"]:
            case "say":
                message = aioxmpp.Message(to=aioxmpp.JID.fromstr(command["to"]), type_=aioxmpp.MessageType.CHAT)
                message.body[None] = command["body"]
                self.client.enqueue(message)
                await self._ping()
            case "carbons":
                await (self.carbons.enable() if command["on"] else self.carbons.disable())
            case "block":
                await self.blocking.block_jids([aioxmpp.JID.fromstr(jid) for jid in command["jids"]])
            case "unblock" if command["jids"]:
                await self.blocking.unblock_jids([aioxmpp.JID.fromstr(jid) for jid in command["jids"]])
            case "unblock":
                await self.blocking.unblock_all()
            case "list":
                await self._ping()
                return sorted(str(jid) for jid in self.blocking.blocklist or ())
            case "ping":
                await self._ping()
        return "done"


async def main() -> None:
    runner: Runner | None = None
    async for command in commands():
        if command["do"] == "login":
            available = command.pop("available")
            runner = Runner(Login(**{name: value for name, value in command.items() if name != "do"}))
            runner.client.presence = aioxmpp.PresenceState(available=available)
        elif command["do"] == "quit":
            break
        elif runner is not None:
            try:
                value = await runner.do(command)
            except aioxmpp.errors.XMPPError as error:
                value = ["refused", error.condition.value[1]]
            tell("answer", number=command["number"], value=value)
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
