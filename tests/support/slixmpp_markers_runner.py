"""slixmpp as a device that says what it has shown, driven by a test: python -m tests.support.slixmpp_markers_runner"""

import asyncio
import logging
import sys
from typing import Any

from tests.support.runner_io import Login, tell
from tests.support.slixmpp_calls_runner import Phone
from tests.support.slixmpp_devices_runner import main


class Reader(Phone):
    """It marks messages as displayed, and tells of the markers that others send."""

    def __init__(self, login: Login, *, available: bool) -> None:
        super().__init__(login, available=available)
        self.register_plugin("xep_0333")
        self.add_event_handler("marker_displayed", self._marker)

    def _marker(self, message: Any) -> None:
        tell("marker", sender=str(message["from"]), id=message["displayed"]["id"])

    async def do(self, command: dict[str, Any]) -> Any:
        if command["do"] != "displayed":
            return await super().do(command)
        self.plugin["xep_0333"].send_marker(command["to"], command["id"], "displayed", mtype="chat")
        await self.plugin["xep_0199"].send_ping(self.boundjid.host)
        return "done"


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main(Reader))
