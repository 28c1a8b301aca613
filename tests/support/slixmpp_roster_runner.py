"""slixmpp's roster and presence as they are, driven by a test: python -m tests.support.slixmpp_roster_runner"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import slixmpp

from tests.support.runner_io import Login, commands, tell


class Runner(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """A client that tells its roster whenever that changes, and every presence it gets."""

    def __init__(self, login: Login) -> None:
        super().__init__(login.jid, login.password)
        self.ca_certs = Path(login.cafile)
        self.enable_direct_tls = False
        self.auto_authorize = None
        self.auto_subscribe = False
        self.add_event_handler("session_start", self._start)
        self.add_event_handler("roster_update", lambda _iq: self.tell_roster())
        for name in ("presence_available", "presence_unavailable"):
            self.add_event_handler(name, self._presence)
        self.add_event_handler("presence_subscribe", lambda presence: tell("asked", by=str(presence["from"].bare)))

    async def _start(self, _event: Any) -> None:
        await self.get_roster()
        self.send_presence()
        tell("online", jid=str(self.boundjid))

    def _presence(self, presence: Any) -> None:
        tell("presence", jid=str(presence["from"]), type=presence["type"], status=presence["status"])

    def tell_roster(self) -> None:
        items = {}
        for jid in self.client_roster:
            item = self.client_roster[jid]
            if jid != self.boundjid.bare and item["subscription"] != "remove":
                items[str(jid)] = {
                    "name": item["name"],
                    "groups": sorted(item["groups"]),
                    "subscription": item["subscription"],
                    "ask": bool(item["pending_out"]),
                }
        tell("roster", items=items)

    async def do(self, command: dict[str, Any]) -> None:
        jid = command.get("jid")
        match command["do"]:
            case "subscribe":
                self.send_presence(pto=jid, ptype="subscribe")
            case "approve":
                self.send_presence(pto=jid, ptype="subscribed")
            case "set":
                await self.update_roster(jid, name=command["name"], groups=command["groups"])
            case "remove":
                await self.del_roster_item(jid)
            case "say":
                self.send_presence(pstatus=command["status"])


async def main() -> None:
    client: Runner | None = None
    async for command in commands():
        match command["do"]:
            case "login":
                del command["do"]
                login = Login(**command)
                client = Runner(login)
                client.connect(login.host, login.port)
            case "quit":
                break
            case _ if client is not None:
                await client.do(command)
    if client is not None:
        await client.disconnect(wait=2.0)
    tell("bye")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main())
