"""slixmpp's component as it is, driven by a test: python -m tests.support.slixmpp_component_runner"""

import asyncio
import logging
import sys
from typing import Any

import slixmpp
from slixmpp.componentxmpp import ComponentXMPP

from tests.support.runner_io import commands, tell


class Runner(ComponentXMPP):
    """A component that connects again whenever its link is lost."""

    def __init__(self, domain: str, secret: str, host: str, port: int) -> None:
        super().__init__(domain, secret, host, port)  # type: ignore[no-untyped-call]  # slixmpp is untyped in parts
        self.leaving = False
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self["xep_0030"].add_identity("gateway", "test", jid=self.boundjid)
        self.add_event_handler("session_start", lambda _: tell("online"))
        self.add_event_handler("message", self._message)
        self.add_event_handler("presence_available", self._presence)
        self.add_event_handler("stream_error", lambda error: tell("stream_error", condition=error["condition"]))
        self.add_event_handler("disconnected", self._lost)
        self.add_event_handler("connection_failed", lambda _: self.loop.call_later(0.2, self.go))

    def go(self) -> None:
        if not self.leaving and not self.is_connected():
            self.connect()

    def _message(self, message: Any) -> None:
        tell("message", **{"from": str(message["from"]), "to": str(message["to"]), "body": message["body"]})

    def _presence(self, presence: Any) -> None:
        tell("presence", **{"from": str(presence["from"]), "to": str(presence["to"])})

    def _lost(self, reason: Any) -> None:
        tell("lost", reason=str(reason))
        self.loop.call_later(0.2, self.go)

    async def discover(self, to: str) -> None:
        """Asks what an address can do."""
        answer = await self["xep_0030"].get_info(jid=slixmpp.JID(to), ifrom=self.boundjid)
        tell("disco", features=sorted(answer["disco_info"]["features"]))


async def main() -> None:
    component: Runner | None = None
    async for command in commands():
        match command.pop("do"):
            case "connect":
                component = Runner(**command)
                component.go()
            case "send" if component:
                component.send_message(command["to"], command["body"], mtype="chat", mfrom=command["sender"])
            case "presence" if component:
                component.send_presence(pto=command["to"], pfrom=command["sender"])
            case "disco" if component:
                await component.discover(command["to"])
            case "quit":
                break
    if component is not None:
        component.leaving = True
        await component.disconnect(wait=2.0)
    tell("bye")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main())
