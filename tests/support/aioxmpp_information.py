"""aioxmpp as it is, asking for information and keeping data: python -m tests.support.aioxmpp_information DEED JID
PASSWORD PORT CAFILE ARGUMENT…
"""

import asyncio
import base64
import json
import sys
from typing import Any

import aioxmpp
import aioxmpp.avatar
import aioxmpp.bookmarks
import aioxmpp.connector
import aioxmpp.ping
import aioxmpp.private_xml
import aioxmpp.vcard
import aioxmpp.version

from tests.support.aioxmpp_runner import ExactCertificate

JID = aioxmpp.JID.fromstr


@aioxmpp.private_xml.Query.as_payload_class
class Notes(aioxmpp.xso.XSO):  # type: ignore[misc]  # aioxmpp is untyped
    """XEP-0145, as an application adds a payload to the library's private storage."""

    TAG = ("storage:rosternotes", "storage")
    text = aioxmpp.xso.ChildText(("storage:rosternotes", "text"), default=None)


async def info(client: Any, jid: str) -> Any:
    found = await client.summon(aioxmpp.DiscoClient).query_info(JID(jid))
    return {
        "identities": sorted([one.category, one.type_] for one in found.identities),
        "features": sorted(found.features),
        "fields": {field.var: list(field.values) for form in found.exts for field in form.fields},
    }


async def items(client: Any, jid: str) -> Any:
    return sorted(str(item.jid) for item in (await client.summon(aioxmpp.DiscoClient).query_items(JID(jid))).items)


async def version(client: Any, jid: str) -> Any:
    found = await aioxmpp.version.query_version(client.stream, JID(jid))
    return [found.name, found.version, found.os]


async def ping(client: Any, jid: str) -> Any:
    await aioxmpp.ping.ping(client, JID(jid))
    return True


async def keep_notes(client: Any, text: str) -> Any:
    notes = Notes()
    notes.text = text
    await client.summon(aioxmpp.private_xml.PrivateXMLService).set_private_xml(notes)
    return "kept"


async def notes(client: Any, _: str) -> Any:
    found = await client.summon(aioxmpp.private_xml.PrivateXMLService).get_private_xml(Notes())
    return found.registered_payload.text


async def keep_photo(client: Any, image: str) -> Any:
    service = client.summon(aioxmpp.vcard.VCardService)
    card = await service.get_vcard()
    card.set_photo_data("image/png", base64.b64decode(image))
    await service.set_vcard(card)
    return "kept"


async def photo(client: Any, jid: str) -> Any:
    card = await client.summon(aioxmpp.vcard.VCardService).get_vcard(JID(jid))
    data = card.get_photo_data()
    return base64.b64encode(data).decode() if data else ""


async def publish_avatar(client: Any, image: str) -> Any:
    avatars = aioxmpp.avatar.AvatarSet()
    avatars.add_avatar_image("image/png", image_bytes=base64.b64decode(image))
    await client.summon(aioxmpp.avatar.AvatarService).publish_avatar_set(avatars)
    return "published"


async def bookmark(client: Any, jid: str, name: str) -> Any:
    service = client.summon(aioxmpp.bookmarks.BookmarkClient)
    await service.add_bookmark(aioxmpp.bookmarks.Conference(name, JID(jid), autojoin=True, nick="J"))
    return "kept"


async def bookmarks(client: Any, _: str) -> Any:
    found = await client.summon(aioxmpp.bookmarks.BookmarkClient).get_bookmarks()
    return [[str(one.jid), one.name] for one in found]


DEEDS: dict[str, Any] = {
    deed.__name__: deed
    for deed in (
        info, items, version, ping, keep_notes, notes, keep_photo, photo, publish_avatar, bookmark, bookmarks,
    )
}  # fmt: skip


async def main(does: str, jid: str, password: str, port: str, cafile: str, *arguments: str) -> None:
    async def answer(_jid: Any, attempt: int) -> str | None:
        return password if attempt == 0 else None

    security = aioxmpp.make_security_layer(answer, no_verify=True)
    security = security._replace(certificate_verifier_factory=lambda: ExactCertificate(cafile))
    peer = ("127.0.0.1", int(port), aioxmpp.connector.STARTTLSConnector())
    client = aioxmpp.PresenceManagedClient(JID(jid), security, override_peer=[peer])
    async with client.connected():
        try:
            found = await asyncio.wait_for(DEEDS[does](client, *arguments), 30)
        except aioxmpp.errors.XMPPError as error:
            found = {"error": error.condition.value[1]}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
