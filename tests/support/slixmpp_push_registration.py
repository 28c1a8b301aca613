"""slixmpp as it is, registering a device with an app server: python -m tests.support.slixmpp_push_registration
JID PASSWORD PORT SERVICE APP TOKEN

It finds the service and its commands, asks for the form, fills it in, completes the command, enables pushes at its own
server, and prints what it found as JSON.
"""

import asyncio
import json
import sys
import xml.etree.ElementTree as ET
from typing import Any

import slixmpp


class Client(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """A client of a server without TLS."""

    def __init__(self, jid: str, password: str) -> None:
        super().__init__(jid, password)
        for plugin in ("xep_0004", "xep_0030", "xep_0050"):
            self.register_plugin(plugin)
        self.enable_direct_tls = self.enable_starttls = False
        self.enable_plaintext = True
        self.plugin["feature_mechanisms"].unencrypted_scram = True
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    def tell(self, found: Any) -> None:
        if not self.outcome.done():
            self.outcome.set_result(found)


async def register(client: Client, service: str, app: str, token: str) -> dict[str, Any]:
    """By the library's own calls of XEP-0030, XEP-0050 and XEP-0004."""
    items = await client.plugin["xep_0030"].get_items(jid=client.boundjid.domain)
    info = await client.plugin["xep_0030"].get_info(jid=service)
    commands = await client.plugin["xep_0050"].get_commands(service)
    done: asyncio.Future[dict[str, str]] = asyncio.get_running_loop().create_future()

    def asked(iq: Any, session: Any) -> None:
        form = iq["command"]["form"]
        form["type"] = "submit"
        form.set_values({"app": app, "token": token})
        session["next"] = completed
        session["payload"] = form
        client.plugin["xep_0050"].complete_command(session)

    def completed(iq: Any, _session: Any) -> None:
        values = iq["command"]["form"].get_values()
        done.set_result({name: str(values[name]) for name in ("jid", "node", "secret")})

    def failed(iq: Any, _session: Any) -> None:
        done.set_exception(RuntimeError(iq["error"]["condition"]))

    client.plugin["xep_0050"].start_command(service, "register", {"next": asked, "error": failed})
    registered = await asyncio.wait_for(done, 15)
    options = client.plugin["xep_0004"].make_form(ftype="submit")
    options.add_field(var="FORM_TYPE", ftype="hidden", value="http://jabber.org/protocol/pubsub#publish-options")
    options.add_field(var="secret", value=registered["secret"])
    enable = ET.Element("{urn:xmpp:push:0}enable", jid=registered["jid"], node=registered["node"])
    enable.append(options.xml)
    iq = client.make_iq_set()
    iq.append(enable)
    await iq.send()
    return {
        **registered,
        "items": [str(item[0]) for item in items["disco_items"]["items"]],
        "identities": [f"{one[0]}/{one[1]}" for one in info["disco_info"]["identities"]],
        "commands": [item[1] for item in commands["disco_items"]["items"]],
    }


async def main() -> None:
    jid, password, port, service, app, token = sys.argv[1:]
    client = Client(jid, password)

    async def begin(_: Any) -> None:
        try:
            client.tell(await register(client, service, app, token))
        except Exception as error:  # the test reads what it was
            client.tell({"error": repr(error)})

    client.add_event_handler("session_start", begin)
    client.add_event_handler("failed_all_auth", lambda _: client.tell({"error": "refused"}))
    client.connect("127.0.0.1", int(port))
    print(json.dumps(await asyncio.wait_for(client.outcome, 30)))
    await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
