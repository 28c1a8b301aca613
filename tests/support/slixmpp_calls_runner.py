"""slixmpp as a phone that makes and takes calls, driven by a test: python -m tests.support.slixmpp_calls_runner"""

import asyncio
import logging
import sys
from functools import partial
from typing import Any

from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath

from tests.support.runner_io import Login, tell
from tests.support.slixmpp_devices_runner import Runner, main
from tests.support.slixmpp_information import enable_push

CALLS = "urn:xmpp:jingle-message:0"
STEPS = ("propose", "proceed", "accept", "reject", "retract")
RTP = "urn:xmpp:jingle:apps:rtp:1"


class Phone(Runner):
    """It tells what it is shown of calls: its own, and those of the account's other devices."""

    def __init__(self, login: Login, *, available: bool) -> None:
        super().__init__(login, available=available)
        for plugin in ("xep_0198", "xep_0334", "xep_0353"):
            self.register_plugin(plugin)
        for step in STEPS:
            self.add_event_handler(f"jingle_message_{step}", partial(self._call, step))
        # COMPAT(slixmpp, 1.17): its part for calls knows no ringing (XEP-0353 section 3.2).
        matcher = MatchXPath(f"{{jabber:client}}message/{{{CALLS}}}ringing")
        self.register_handler(Callback("ringing", matcher, self._ringing))

    def _call(self, step: str, message: Any) -> None:
        told = message[f"jingle_{step}"]
        media = [kind for _, kind in told["descriptions"]] if step == "propose" else []
        tell("call", step=step, id=told["id"], sender=str(message["from"]), media=media)

    def _ringing(self, message: Any) -> None:
        ringing = message.xml.find(f"{{{CALLS}}}ringing")
        tell("call", step="ringing", id=ringing.get("id"), sender=str(message["from"]), media=[])

    def _carbon(self, way: str, carbon: Any) -> None:
        steps = [child.tag.split("}")[1] for child in carbon.xml if child.tag.startswith(f"{{{CALLS}}}")]
        if steps:
            tell("copy", way=way, step=steps[0], sender=str(carbon["from"]))
        else:
            super()._carbon(way, carbon)

    async def do(self, command: dict[str, Any]) -> Any:
        calls, does = self.plugin["xep_0353"], command["do"]
        if does == "propose":
            calls.propose(command["to"], command["id"], [(RTP, "audio"), (RTP, "video")])
        elif does in STEPS:
            getattr(calls, does)(command["to"], command["id"])
        elif does == "ringing":
            message = self.make_message(mto=command["to"], mtype="chat")
            message.append(ET.Element(f"{{{CALLS}}}ringing", {"id": command["id"]}))
            message.enable("store")
            message.send()
        elif does == "push":
            return await enable_push(self, "push.localhost", "n1", command["app"], command["token"])
        elif does == "drop":
            assert self.transport is not None
            self.transport.abort()
            return "done"
        else:
            return await super().do(command)
        await self.plugin["xep_0199"].send_ping(self.boundjid.host)
        return "done"


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main(Phone))
