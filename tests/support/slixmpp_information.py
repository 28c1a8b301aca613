"""slixmpp as it is, asking for information and keeping data: python -m tests.support.slixmpp_information DEED JID
PASSWORD PORT CAFILE ARGUMENT…
"""

import asyncio
import base64
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import slixmpp
from slixmpp.exceptions import IqError
from slixmpp.xmlstream import ET, ElementBase

PLUGINS = (
    "0004", "0012", "0030", "0048", "0049", "0054", "0060", "0084", "0092", "0115", "0128", "0153", "0163", "0199",
    "0202", "0203", "0223", "0334", "0402", "0492",
)  # fmt: skip


class RosterNotes(ElementBase):  # type: ignore[misc]  # slixmpp's classes are untyped
    """XEP-0145, as an application adds a payload to the library's private storage."""

    name = "storage"
    namespace = "storage:rosternotes"
    plugin_attrib = "rosternotes"
    interfaces = {"text"}
    sub_interfaces = {"text"}


async def info(client: Any, jid: str, node: str = "") -> Any:
    found = (await client.plugin["xep_0030"].get_info(jid=jid, node=node or None, cached=False))["disco_info"]
    forms = found.xml.findall("{jabber:x:data}x")
    fields = {field.get("var"): [value.text for value in field] for form in forms for field in form}
    identities = sorted([category, kind] for category, kind, _, _ in found["identities"])
    return {"identities": identities, "features": sorted(found["features"]), "fields": fields}


async def extended(client: Any, jid: str) -> Any:
    found = (await client.plugin["xep_0030"].get_info(jid=jid, cached=False))["disco_info"]
    return {var: list(value) if isinstance(value, list) else value for var, value in found["form"]["values"].items()}


async def items(client: Any, jid: str) -> Any:
    found = (await client.plugin["xep_0030"].get_items(jid=jid))["disco_items"]["items"]
    return sorted(str(item[0]) for item in found)


async def server_caps(client: Any, jid: str) -> Any:
    """What the library made of the stream feature: it asked for the node, and checked the hash by itself."""
    caps = client.plugin["xep_0115"]
    for _ in range(200):
        ver = await caps.get_verstring(jid)
        if ver and (known := await caps.get_caps(verstring=ver)) is not None:
            return {"ver": ver, "features": sorted(known["features"])}
        await asyncio.sleep(0.05)
    return None


async def last(client: Any, jid: str) -> Any:
    found = (await client.plugin["xep_0012"].get_last_activity(jid))["last_activity"]
    return [found["seconds"], found["status"]]


async def version(client: Any, jid: str) -> Any:
    found = (await client.plugin["xep_0092"].get_version(jid))["software_version"]
    return [found["name"], found["version"], found["os"]]


async def time(client: Any, jid: str) -> Any:
    found = (await client.plugin["xep_0202"].get_entity_time(jid))["entity_time"]
    # COMPAT(slixmpp, 1.17): its own reader adds a Z to the one that XEP-0082 wants, and cannot read what it made.
    return datetime.fromisoformat(found.xml.findtext("{urn:xmpp:time}utc")).timestamp()


async def ping(client: Any, jid: str) -> Any:
    return await client.plugin["xep_0199"].ping(jid) >= 0


async def keep_notes(client: Any, text: str) -> Any:
    notes = RosterNotes()
    notes["text"] = text
    await client.plugin["xep_0049"].store(notes)
    return "kept"


async def notes(client: Any, _: str) -> Any:
    return (await client.plugin["xep_0049"].retrieve("rosternotes"))["private"]["rosternotes"]["text"]


async def keep_card(client: Any, name: str, *to: str) -> Any:
    card = client.plugin["xep_0054"].make_vcard()
    card["FN"] = name
    await client.plugin["xep_0054"].publish_vcard(card, jid=slixmpp.JID(to[0]) if to else None)
    return "kept"


async def card(client: Any, jid: str) -> Any:
    found = (await client.plugin["xep_0054"].get_vcard(slixmpp.JID(jid), local=False))["vcard_temp"]
    data = found["PHOTO"]["BINVAL"]
    return [found["FN"], base64.b64encode(data).decode() if data else ""]


async def show_avatar(client: Any, image: str) -> Any:
    await client.plugin["xep_0153"].set_avatar(avatar=base64.b64decode(image), mtype="image/png")
    return "shown"


async def publish_avatar(client: Any, image: str) -> Any:
    data, avatars = base64.b64decode(image), client.plugin["xep_0084"]
    options = client.plugin["xep_0004"].make_form("submit")
    options.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    options.add_field(var="pubsub#access_model", value="open")
    name = avatars.generate_id(data)
    await avatars.publish_avatar(data, options=options)
    await avatars.publish_avatar_metadata([{"id": name, "type": "image/png", "bytes": len(data)}], options=options)
    return name


async def avatar(client: Any, jid: str, name: str) -> Any:
    found = await client.plugin["xep_0084"].retrieve_avatar(slixmpp.JID(jid), name)
    return base64.b64encode(found["pubsub"]["items"]["item"]["avatar_data"]["value"]).decode()


async def bookmark(client: Any, way: str, jid: str, name: str) -> Any:
    if way == "xep_0402":
        conference = slixmpp.plugins.xep_0402.stanza.Conference()
        conference["name"], conference["autojoin"], conference["nick"] = name, True, "J"
        await client.plugin["xep_0223"].store(conference, node="urn:xmpp:bookmarks:1", id=jid)
    else:
        kept = slixmpp.plugins.xep_0048.stanza.Bookmarks()
        kept.add_conference(jid, "J", name=name, autojoin=True)
        await client.plugin["xep_0048"].set_bookmarks(kept, method=way)
    return "kept"


async def notify_chat(client: Any, chat: str, *settings: str) -> Any:
    """A bookmark that says when to notify: "never", or "on-mention:phone" for clients of one type (XEP-0492)."""
    conference = slixmpp.plugins.xep_0402.stanza.Conference()
    conference["nick"] = "J"
    for setting in settings:
        when, _, client_type = setting.partition(":")
        conference["extensions"]["notify"].configure(when, client_type or None)
    await client.plugin["xep_0223"].store(conference, node="urn:xmpp:bookmarks:1", id=chat)
    return "kept"


async def bookmarks(client: Any, way: str) -> Any:
    if way == "xep_0402":
        found = (await client.plugin["xep_0060"].get_items(client.boundjid.bare, "urn:xmpp:bookmarks:1"))["pubsub"]
        return [[item["id"], item["conference"]["name"]] for item in found["items"]]
    answer = await client.plugin["xep_0048"].get_bookmarks(method=way)
    item = answer["private"] if way == "xep_0049" else answer["pubsub"]["items"]["item"]
    return [[str(one["jid"]), one["name"]] for one in item["bookmarks"]["conferences"]]


async def services(client: Any, jid: str, *asked: str) -> Any:
    """slixmpp has no part that speaks XEP-0215: its own iq carries the payload."""
    iq = client.make_iq_get(ito=jid)
    name = "credentials" if asked else "services"
    payload = ET.Element(f"{{urn:xmpp:extdisco:2}}{name}")
    if asked:
        ET.SubElement(payload, "{urn:xmpp:extdisco:2}service", {"host": asked[0], "type": asked[1]})
    iq.append(payload)
    answer = await iq.send()
    return [dict(one.attrib) for one in answer.xml[0]]


async def enable_push(client: Any, service: str, node: str, app: str, token: str) -> Any:
    """slixmpp has no part that speaks XEP-0357: its own iq carries the element, its part for forms makes the form."""
    iq = client.make_iq_set()
    enable = ET.Element("{urn:xmpp:push:0}enable", {"jid": service, "node": node})
    form = client.plugin["xep_0004"].make_form("submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    form.add_field(var="app", value=app)
    form.add_field(var="token", value=token)
    enable.append(form.xml)
    iq.append(enable)
    await iq.send()
    return "enabled"


async def disable_push(client: Any, service: str) -> Any:
    iq = client.make_iq_set()
    iq.append(ET.Element("{urn:xmpp:push:0}disable", {"jid": service}))
    await iq.send()
    return "disabled"


async def roster(client: Any, contact: str, name: str) -> Any:
    """Adds a contact; then the library asks twice, the second time with the version it has: (names, then whether a
    roster came) of each answer.
    """
    await client.update_roster(contact, name=name)
    told = []
    for _ in range(2):
        answer = await client.get_roster()
        # Looking for a roster that is not there puts an empty one into the answer; only a real one has a version.
        told.append([client.client_roster[contact]["name"], bool(answer["roster"]["ver"])])
    return told


async def say(client: Any, to: str, body: str, hint: str = "") -> Any:
    message = client.make_message(mto=to, mbody=body, mtype="chat")
    if hint:
        message.enable(hint)
    message.send()
    await client.plugin["xep_0199"].ping(client.boundjid.domain)
    return "said"


async def hear(client: Any, count: str) -> Any:
    """What comes with the first presence: body, and the time of its delay stamp."""
    heard: list[Any] = []
    enough = asyncio.Event()

    def take(message: Any) -> None:
        if message["body"]:
            stamp = message["delay"]["stamp"]
            heard.append([message["body"], stamp.timestamp() if stamp else None, str(message["delay"]["from"])])
            if len(heard) >= int(count):
                enough.set()

    client.add_event_handler("message", take)
    client.send_presence()
    await asyncio.wait_for(enough.wait(), 20)
    await client.plugin["xep_0199"].ping(client.boundjid.domain)
    return heard


DEEDS: dict[str, Any] = {
    deed.__name__: deed
    for deed in (
        info, extended, items, server_caps, last, version, time, ping, keep_notes, notes, keep_card, card, show_avatar,
        publish_avatar, avatar, bookmark, notify_chat, bookmarks, services, enable_push, disable_push, roster, say,
        hear,
    )
}  # fmt: skip


async def main(does: str, jid: str, password: str, port: str, cafile: str, *arguments: str) -> None:
    client = slixmpp.ClientXMPP(jid, password)
    for number in PLUGINS:
        client.register_plugin(f"xep_{number}")
    client.plugin["xep_0049"].register(RosterNotes)
    client.ca_certs = Path(cafile)
    client.enable_direct_tls = False
    started = asyncio.get_running_loop().create_future()
    client.add_event_handler("session_start", lambda _: started.done() or started.set_result(None))
    client.connect("127.0.0.1", int(port))
    await asyncio.wait_for(started, 20)
    try:
        found = await asyncio.wait_for(DEEDS[does](client, *arguments), 30)
    except IqError as error:
        found = {"error": error.condition}
    sys.stdout.write(json.dumps(found) + "\n")
    await client.disconnect(wait=2.0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
