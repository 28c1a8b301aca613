"""aioxmpp's roster and presence as they are, driven by a test: python -m tests.support.aioxmpp_roster_runner"""

import asyncio
import logging
import sys
from typing import Any

import aioxmpp

from tests.support.aioxmpp_runner import _CONNECTORS, ExactCertificate
from tests.support.runner_io import Login, commands, tell


class Runner:
    """A client that tells its roster whenever that changes, and every presence it gets."""

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
        self.roster = self.client.summon(aioxmpp.RosterClient)
        for name in (
            "on_entry_added",
            "on_entry_removed",
            "on_entry_subscription_state_changed",
            "on_entry_name_changed",
            "on_entry_added_to_group",
            "on_entry_removed_from_group",
        ):
            getattr(self.roster, name).connect(self._changed)
        self.roster.on_subscribe.connect(lambda stanza: tell("asked", by=str(stanza.from_.bare())))
        presence = self.client.summon(aioxmpp.PresenceClient)
        presence.on_available.connect(self._presence)
        presence.on_changed.connect(self._presence)
        presence.on_unavailable.connect(self._presence)
        self.client.on_stream_established.connect(lambda: tell("online", jid=str(self.client.local_jid)))
        self.client.on_failure.connect(lambda error: tell("refused", reason=str(error)))
        self.client.presence = aioxmpp.PresenceState(available=True)

    def _presence(self, jid: Any, stanza: Any) -> None:
        type_ = "unavailable" if stanza.type_ == aioxmpp.PresenceType.UNAVAILABLE else "available"
        tell("presence", jid=str(jid), type=type_, status=stanza.status.any() if stanza.status else "")

    def _changed(self, *_: Any) -> None:
        items = {
            str(jid): {
                "name": item.name or "",
                "groups": sorted(item.groups),
                "subscription": item.subscription,
                "ask": item.ask == "subscribe",
            }
            for jid, item in self.roster.items.items()
        }
        tell("roster", items=items)

    async def do(self, command: dict[str, Any]) -> None:
        jid = aioxmpp.JID.fromstr(command["jid"]) if "jid" in command else None
        match command["do"]:
            case "subscribe":
                self.roster.subscribe(jid)
            case "approve":
                self.roster.approve(jid)
            case "set":
                await self.roster.set_entry(jid, name=command["name"], add_to_groups=frozenset(command["groups"]))
            case "remove":
                await self.roster.remove_entry(jid)
            case "say":
                state = aioxmpp.PresenceState(available=True)
                self.client.set_presence(state, status={None: command["status"]})


async def main() -> None:
    runner: Runner | None = None
    async for command in commands():
        match command["do"]:
            case "login":
                del command["do"]
                runner = Runner(Login(**command))
            case "quit":
                break
            case _ if runner is not None:
                await runner.do(command)
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
