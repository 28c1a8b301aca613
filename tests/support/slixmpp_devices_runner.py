"""slixmpp as one of an account's devices, as it is, driven by a test: python -m tests.support.slixmpp_devices_runner"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout

from tests.support.runner_io import Login, commands, tell

PLUGINS = (
    "xep_0030", "xep_0004", "xep_0199", "xep_0203", "xep_0085", "xep_0191", "xep_0280", "xep_0352", "xep_0013",
    "xep_0359", "xep_0377",
)  # fmt: skip


class Runner(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """A client that tells everything it is shown."""

    def __init__(self, login: Login, *, available: bool) -> None:
        super().__init__(login.jid, login.password)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.ca_certs = Path(login.cafile)
        self.enable_direct_tls = False
        self.available = available
        self.add_event_handler("session_start", self._start)
        self.add_event_handler("message", self._message)
        self.add_event_handler("message_error", lambda m: tell("error", condition=m["error"]["condition"]))
        self.add_event_handler("chatstate", lambda m: tell("state", name=m["chat_state"], sender=str(m["from"])))
        self.add_event_handler("carbon_received", lambda m: self._carbon("received", m["carbon_received"]))
        self.add_event_handler("carbon_sent", lambda m: self._carbon("sent", m["carbon_sent"]))
        self.add_event_handler("blocked", lambda iq: self._list("blocked", iq, "block"))
        self.add_event_handler("unblocked", lambda iq: self._list("unblocked", iq, "unblock"))

    def _start(self, _event: Any) -> None:
        if self.available:
            self.send_presence()
        tell("online", jid=str(self.boundjid))

    def _message(self, message: Any) -> None:
        if message["body"]:
            tell("message", sender=str(message["from"]), body=message["body"], **self._id(message))

    def _carbon(self, way: str, carbon: Any) -> None:
        sender, to = str(carbon["from"]), str(carbon["to"])
        tell("carbon", way=way, sender=sender, to=to, body=carbon["body"], **self._id(carbon))

    @staticmethod
    def _id(message: Any) -> dict[str, str]:
        return {"id": message["stanza_id"]["id"], "by": message["stanza_id"]["by"]}

    def _list(self, event: str, iq: Any, command: str) -> None:
        tell(event, jids=sorted(str(item["jid"]) for item in iq[command]["items"]))

    async def do(self, command: dict[str, Any]) -> Any:
        blocking, offline = self.plugin["xep_0191"], self.plugin["xep_0013"]
        match command["do"]:
            case "say":
                self.send_message(mto=command["to"], mbody=command["body"], mtype="chat")
                await self.plugin["xep_0199"].send_ping(self.boundjid.host)
            case "state":
                message = self.make_message(mto=command["to"], mtype="chat")
                message["chat_state"] = command["name"]
                message.send()
                await self.plugin["xep_0199"].send_ping(self.boundjid.host)
            case "carbons":
                await (self.plugin["xep_0280"].enable() if command["on"] else self.plugin["xep_0280"].disable())
            case "block":
                await blocking.block(command["jids"])
            case "report":
                await self.plugin["xep_0377"].report(command["jids"], reason=command["reason"])
            case "unblock":
                await blocking.unblock(command["jids"])
            case "list":
                return sorted(str(jid) for jid in await blocking.get_blocked_jids())
            case "active":
                self.plugin["xep_0352"].send_active()
            case "inactive":
                self.plugin["xep_0352"].send_inactive()
            case "ping":
                await self.plugin["xep_0199"].send_ping(self.boundjid.host)
            case "presence":
                self.send_presence()
                await self.plugin["xep_0199"].send_ping(self.boundjid.host)
            case "count":
                info = await offline.get_count()
                form = self.plugin["xep_0004"].stanza.Form(xml=info["disco_info"].xml.find("{jabber:x:data}x"))
                return form["values"]["number_of_messages"]
            case "headers":
                items = (await offline.get_headers())["disco_items"]["items"]
                return sorted([node, name] for _, node, name in items)  # the library keeps them as a set
            case "view":
                return await self._collected(lambda done: offline.view(command["nodes"], callback=done))
            case "fetch":
                return await self._collected(lambda done: offline.fetch(callback=done))
            case "remove":
                await offline.remove(command["nodes"])
            case "purge":
                await offline.purge()
        return "done"

    @staticmethod
    async def _collected(ask: Any) -> list[list[str]]:
        """The messages that came with an answer: its body, and the node it names."""
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        ask(answer.set_result)
        messages = (await asyncio.wait_for(answer, 20))["offline"]["results"]
        return [[message["offline"]["item"]["node"], message["body"]] for message in messages]


async def main(make: type[Runner] = Runner) -> None:
    client: Runner | None = None
    async for command in commands():
        if command["do"] == "login":
            available = command.pop("available")
            login = Login(**{name: value for name, value in command.items() if name != "do"})
            client = make(login, available=available)
            client.connect(login.host, login.port)
        elif command["do"] == "quit":
            break
        elif client is not None:
            try:
                value = await client.do(command)
            except (IqError, IqTimeout) as error:
                value = ["refused", error.condition]
            tell("answer", number=command["number"], value=value)
    if client is not None:
        await client.disconnect(wait=2.0)
    tell("bye")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main())
