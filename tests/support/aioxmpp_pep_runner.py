"""aioxmpp's personal eventing as it is, driven by a test: python -m tests.support.aioxmpp_pep_runner"""

import asyncio
import logging
import sys
from typing import Any
from xml.etree import ElementTree

import aioxmpp
import aioxmpp.pep
import aioxmpp.pubsub.xso as pubsub_xso
import aioxmpp.xso as xso

from tests.support.aioxmpp_runner import Runner as Connected
from tests.support.runner_io import Login, commands, tell

TUNE = "http://jabber.org/protocol/tune"


@pubsub_xso.as_payload_class
class Tune(xso.XSO):  # type: ignore[misc]  # aioxmpp is untyped
    """XEP-0118, as far as the test goes."""

    TAG = (TUNE, "tune")
    artist = xso.ChildText((TUNE, "artist"), default=None)


class Runner(Connected):
    """A client that claims nodes: it wants to be told of them."""

    def __init__(self, login: Login, interests: list[str]) -> None:
        super().__init__(login)
        self.client.summon(aioxmpp.EntityCapsService)
        self.pep = self.client.summon(aioxmpp.PEPClient)
        self.pubsub = self.client.summon(aioxmpp.PubSubClient)
        self.claims = [self.pep.claim_pep_node(node, notify=True) for node in interests]
        for claim in self.claims:
            claim.on_item_publish.connect(self._published)

    def _published(self, jid: Any, node: str, item: Any, *, message: Any = None) -> None:
        artist = item.registered_payload.artist
        tell("published", node=node, sender=str(jid), id=item.id_, payload=artist)

    async def do(self, command: dict[str, Any]) -> Any:
        jid = aioxmpp.JID.fromstr(command["jid"]) if command.get("jid") else None
        match command["do"]:
            case "publish":
                tune = Tune()
                tune.artist = ElementTree.fromstring(command["payload"]).findtext(f"{{{TUNE}}}artist")
                return await self.pep.publish(command["node"], tune, id_=command["id"])
            case "items":
                answer = await self.pubsub.get_items(jid, command["node"], max_items=command.get("most"))
                return [[item.id_, item.registered_payload.artist] for item in answer.payload.items]
            case "features":
                return sorted(feature.value for feature in await self.pubsub.get_features(jid))
            case "subscribe":
                answer = await self.pubsub.subscribe(jid, command["node"])
                return answer.payload.subscription
            case other:
                raise ValueError(other)


async def main() -> None:
    runner: Runner | None = None
    async for command in commands():
        if command["do"] == "quit":
            break
        if command["do"] == "login":
            command.pop("do")
            interests = command.pop("interests", [])
            runner = Runner(Login(**command), interests)
            continue
        assert runner is not None
        number = command.pop("number")
        try:
            tell("answer", number=number, value=await runner.do(command))
        except aioxmpp.errors.XMPPError as error:
            tell("answer", number=number, value=["refused", error.condition.value[1]])
    if runner is not None:
        runner.client.stop()
        await asyncio.sleep(0.2)
    tell("bye")


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main())
