"""slixmpp as it is, reading its archive: python -m tests.support.slixmpp_archive DEED JID PASSWORD PORT CAFILE …"""

import asyncio
import json
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import slixmpp


class Client(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """A client whose `outcome` is what it found."""

    def __init__(self, jid: str, password: str, cafile: str) -> None:
        super().__init__(jid, password)
        for plugin in ("xep_0004", "xep_0030", "xep_0059", "xep_0297", "xep_0313", "xep_0359", "xep_0441"):
            self.register_plugin(plugin)
        self.ca_certs = Path(cafile)
        self.enable_direct_tls = False
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.add_event_handler("failed_auth", lambda _: self.tell("refused"))

    def tell(self, found: Any) -> None:
        if not self.outcome.done():
            self.outcome.set_result(found)


async def deed(client: Client, name: str, arguments: list[str]) -> None:
    mam, wishes = client.plugin["xep_0313"], client.plugin["xep_0441"]
    own = client.boundjid.bare
    try:
        match name:
            case "history" | "backwards":
                found = mam.iterate(
                    rsm={"max": int(arguments[0])}, reverse=name == "backwards", with_jid=(arguments[1:] or [None])[0]
                )
                client.tell([_body(message) async for message in found])
            case "since":
                found = mam.iterate(jid=own, start=datetime.fromisoformat(arguments[0]), rsm={"max": 5})
                client.tell([_body(message) async for message in found])
            case "stamps":
                found = mam.iterate(jid=own, rsm={"max": 50})
                client.tell([m["mam_result"]["forwarded"]["delay"]["stamp"].isoformat() async for m in found])
            case "metadata":
                answer = (await mam.get_archive_metadata())["mam_metadata"]
                client.tell([answer["start"]["id"], answer["end"]["id"], answer["end"]["timestamp"].isoformat()])
            case "fields":
                client.tell(sorted((await mam.get_fields()).get_fields()))
            case "features":
                info = await client.plugin["xep_0030"].get_info(jid=own)
                client.tell(sorted(info["disco_info"]["features"]))
            case "prefer":
                await wishes.set_preferences(arguments[0], always=[], never=arguments[1:])
                default, always, never = await wishes.get_preferences()
                client.tell([default, sorted(map(str, always)), sorted(map(str, never))])
            case "of":
                await mam.retrieve(jid=slixmpp.JID(arguments[0]))
                client.tell("read")
    except slixmpp.exceptions.IqError as error:
        client.tell(error.condition)


def _body(message: Any) -> str:
    return str(message["mam_result"]["forwarded"]["message"]["body"])


async def main() -> None:
    name, jid, password, port, cafile, *arguments = sys.argv[1:]
    client = Client(jid, password, cafile)

    async def started(_event: Any) -> None:
        try:
            await deed(client, name, arguments)
        except Exception as error:  # whatever it is, the test shall see it
            client.outcome.set_exception(error)

    client.add_event_handler("session_start", started)
    client.connect("127.0.0.1", int(port))
    print(json.dumps(await asyncio.wait_for(client.outcome, 40)))
    await client.disconnect(wait=2.0)


if __name__ == "__main__":
    asyncio.run(main())
