"""slixmpp as it is, driven by a test: python -m tests.support.slixmpp_runner"""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import slixmpp

from tests.support.runner_io import Login, commands, tell


class Runner(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """A client that reconnects at once whenever its link is lost; resuming is the library's own plug-in."""

    def __init__(self, login: Login) -> None:
        super().__init__(login.jid, login.password)
        self.login = login
        self.leaving = False
        self.kept: set[str] = set()
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0198")
        self.register_plugin("xep_0199")
        self.ca_certs = Path(login.cafile)
        self.enable_direct_tls = login.tls == "direct"
        self.enable_starttls = login.tls == "starttls"
        self.add_event_handler("session_start", lambda _: self.send_presence())
        self.add_event_handler("sm_enabled", self._online)
        self.add_event_handler("session_resumed", lambda _: tell("resumed", unacked=len(self.unacked)))
        self.add_event_handler("sm_failed", lambda _: tell("failed"))
        self.add_event_handler("failed_auth", lambda _: tell("refused"))
        self.add_event_handler("message", self._message)
        self.add_event_handler("stanza_acked", self._accepted)
        self.add_event_handler("disconnected", self._lost)
        self.add_event_handler("connection_failed", lambda _: self.loop.call_later(0.2, self.go))

    def go(self) -> None:
        if not self.leaving and not self.is_connected():
            self.connect(self.login.host, self.login.port)

    def _online(self, _event: Any) -> None:
        tell("online", jid=str(self.boundjid), mechanism=self.plugin["feature_mechanisms"].mech.name)

    def _message(self, message: Any) -> None:
        if message["body"] and message["type"] != "error":
            tell("message", id=message["id"], sender=str(message["from"]), body=message["body"])

    def _accepted(self, stanza: Any) -> None:
        if stanza.name == "message":
            self.kept.add(stanza["id"])
            tell("accepted", id=stanza["id"])

    def _lost(self, reason: Any) -> None:
        tell("lost", reason=str(reason))
        self.loop.call_later(0.05, self.go)

    async def say(self, to: str, body: str, stanza_id: str) -> None:
        """Sends, and tells once the library keeps the message until it is acknowledged.

        COMPAT(slixmpp, 1.17): until then it is in a queue that a lost link empties, with a debug line to say so. What
        is not kept soon is told as dropped.
        """
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        message["id"] = stanza_id
        message.send()
        for _ in range(400):
            if stanza_id in self.kept or any(kept["id"] == stanza_id for _, kept in self.unacked):
                tell("sent", id=stanza_id)
                return
            await asyncio.sleep(0.005)
        tell("dropped", id=stanza_id)

    @property
    def unacked(self) -> Any:
        """What the library would send again after a resumption."""
        return self.plugin["xep_0198"].unacked_queue

    def ask(self) -> None:
        """`<r/>`: the library itself asks only every fifth stanza."""
        if self.is_connected():
            self.plugin["xep_0198"].request_ack()


async def main() -> None:
    client: Runner | None = None
    async for command in commands():
        match command.pop("do"):
            case "login":
                client = Runner(Login(**command))
                client.go()
            case "send" if client:
                await client.say(command["to"], command["body"], command["id"])
            case "ask" if client:
                client.ask()
            case "drop" if client and client.transport:
                client.transport.abort()
            case "quit":
                break
    if client is not None:
        client.leaving = True
        await client.disconnect(wait=2.0)
    tell("bye")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main())
