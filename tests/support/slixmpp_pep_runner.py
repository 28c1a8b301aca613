"""slixmpp's personal eventing as it is, driven by a test: python -m tests.support.slixmpp_pep_runner"""

import asyncio
import base64
import logging
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import slixmpp
from slixmpp.exceptions import IqError, IqTimeout
from slixmpp.plugins.xep_0402.stanza import Conference
from slixmpp.xmlstream import ElementBase

from tests.support.runner_io import Login, commands, tell

PLUGINS = (
    *("xep_0030", "xep_0004", "xep_0115", "xep_0060", "xep_0163", "xep_0223"),
    *("xep_0402", "xep_0490", "xep_0084", "xep_0292"),
)


class Runner(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """A client that tells every event it gets. `interests` are nodes it wants to be told of."""

    def __init__(self, login: Login, interests: list[str]) -> None:
        super().__init__(login.jid, login.password)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        self.ca_certs = Path(login.cafile)
        self.enable_direct_tls = False
        self.interests = interests
        self.add_event_handler("session_start", self._start)
        self.add_event_handler("pubsub_publish", self._published)
        self.add_event_handler("pubsub_retract", self._retracted)

    async def _start(self, _event: Any) -> None:
        self.plugin["xep_0163"].add_interest(self.interests)
        await self.plugin["xep_0115"].update_caps(broadcast=False)
        self.send_presence()
        tell("online", jid=str(self.boundjid))

    def _published(self, message: Any) -> None:
        for item in message["pubsub_event"]["items"]["substanzas"]:
            payload = item.xml[0] if len(item.xml) else None
            tell(
                "published",
                node=message["pubsub_event"]["items"]["node"],
                sender=str(message["from"]),
                id=item["id"],
                payload="" if payload is None else ElementTree.tostring(payload, encoding="unicode"),
            )

    def _retracted(self, message: Any) -> None:
        for item in message["pubsub_event"]["items"]["substanzas"]:
            tell("retracted", node=message["pubsub_event"]["items"]["node"], id=item["id"])

    def form(self, fields: dict[str, str], form_type: str) -> Any:
        form = self.plugin["xep_0004"].make_form(ftype="submit")
        form.add_field(var="FORM_TYPE", ftype="hidden", value=f"http://jabber.org/protocol/pubsub#{form_type}")
        for name, value in fields.items():
            form.add_field(var=f"pubsub#{name}", value=value)
        return form

    async def do(self, command: dict[str, Any]) -> Any:
        pubsub, pep = self.plugin["xep_0060"], self.plugin["xep_0163"]
        jid, node = command.get("jid"), command.get("node", "")
        match command["do"]:
            case "publish":
                options = command.get("options")
                answer = await pep.publish(
                    ElementBase(xml=ElementTree.fromstring(command["payload"])),
                    node=node,
                    id=command["id"],
                    options=self.form(options, "publish-options") if options else None,
                )
                return answer["pubsub"]["publish"]["item"]["id"]
            case "items":
                answer = await pubsub.get_items(jid, node, max_items=command.get("most"))
                return [
                    [item["id"], ElementTree.tostring(item.xml[0], encoding="unicode")]
                    for item in answer["pubsub"]["items"]["substanzas"]
                ]
            case "nodes":
                answer = await pubsub.get_nodes(jid)
                return sorted(node for _, node, _ in answer["disco_items"]["items"] if node)
            case "features":
                return sorted((await self.plugin["xep_0030"].get_info(jid=jid))["disco_info"]["features"])
            case "retract":
                await pubsub.retract(jid, node, command["id"], notify=command["notify"])
            case "create":
                await pubsub.create_node(jid, node, config=self.form(command["options"], "node_config"))
            case "configure":
                await pubsub.set_node_config(jid, node, self.form(command["options"], "node_config"))
            case "configuration":
                answer = await pubsub.get_node_config(jid, node)
                return answer["pubsub_owner"]["configure"]["form"].get_values()
            case "delete":
                await pubsub.delete_node(jid, node)
            case "purge":
                await pubsub.purge(jid, node)
            case "subscribe":
                answer = await pubsub.subscribe(jid, node)
                return answer["pubsub"]["subscription"]["subscription"]
            case "unsubscribe":
                await pubsub.unsubscribe(jid, node)
            case "affiliate":
                await pubsub.modify_affiliations(jid, node, [tuple(change) for change in command["changes"]])
            case _:
                return await self.do_private(command)
        return "done"

    async def do_private(self, command: dict[str, Any]) -> Any:
        """What clients do with nodes of their own."""
        match command["do"]:
            case "store":
                stanza = ElementBase(xml=ElementTree.fromstring(command["payload"]))
                await self.plugin["xep_0223"].store(stanza, node=command["node"], id=command.get("id"))
            case "retrieve":
                answer = await self.plugin["xep_0223"].retrieve(command["node"], id=command.get("id"))
                found = answer["pubsub"]["items"]["substanzas"]
                return [ElementTree.tostring(item.xml[0], encoding="unicode") for item in found]
            case "bookmark":
                conference = Conference()
                conference["name"], conference["autojoin"] = command["name"], True
                profile = {"pubsub#max_items": "max", "pubsub#send_last_published_item": "never"}
                self.plugin["xep_0223"].node_profiles["urn:xmpp:bookmarks:1"] = profile
                await self.plugin["xep_0223"].store(conference, node="urn:xmpp:bookmarks:1", id=command["room"])
            case "bookmarks":
                answer = await self.plugin["xep_0060"].get_items(None, "urn:xmpp:bookmarks:1")
                return [
                    [i["id"], i["conference"]["name"], i["conference"]["autojoin"]]
                    for i in answer["pubsub"]["items"]["substanzas"]
                ]
            case "displayed":
                await self.plugin["xep_0490"].flag_chat(command["chat"], command["id"])
            case "catch up":
                answer = await self.plugin["xep_0490"].catch_up()
                return [[i["id"], i["displayed"]["stanza_id"]["id"]] for i in answer["pubsub"]["items"]["substanzas"]]
            case "avatar":
                data = base64.b64decode(command["data"])
                avatars = self.plugin["xep_0084"]
                await avatars.publish_avatar(data)
                name = avatars.generate_id(data)
                await avatars.publish_avatar_metadata({"id": name, "type": "image/png", "bytes": len(data)})
                return name
            case "see avatar":
                answer = await self.plugin["xep_0084"].retrieve_avatar(command["jid"], command["id"])
                return base64.b64encode(answer["pubsub"]["items"]["item"]["avatar_data"]["value"]).decode()
            case "vcard":
                await self.plugin["xep_0292"].publish_vcard(full_name=command["name"], nickname="Jule")
            case "see vcard":
                answer = await self.plugin["xep_0292"].retrieve_vcard(slixmpp.JID(command["jid"]))
                return answer["pubsub"]["items"]["item"]["vcard"]["full_name"]
            case other:
                raise ValueError(other)
        return "done"


async def main() -> None:
    client: Runner | None = None
    async for command in commands():
        if command["do"] == "quit":
            break
        if command["do"] == "login":
            interests = command.pop("interests", [])
            command.pop("do")
            client = Runner(Login(**command), interests)
            client.connect(client_host(command), command["port"])
            continue
        assert client is not None
        number = command.pop("number")
        try:
            tell("answer", number=number, value=await client.do(command))
        except IqError as error:
            specific = [child.tag.split("}")[1] for child in error.iq["error"].xml if "pubsub#errors" in child.tag]
            tell("answer", number=number, value=["refused", error.condition, *specific])
        except IqTimeout:
            tell("answer", number=number, value=["timeout"])
    if client is not None:
        await client.disconnect(wait=2.0)
    tell("bye")


def client_host(command: dict[str, Any]) -> str:
    return str(command["host"])


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, level=logging.DEBUG if "-v" in sys.argv else logging.WARNING)
    asyncio.run(main())
