"""slixmpp as it is, doing one thing with accounts: python -m tests.support.slixmpp_accounts DEED JID PASSWORD …"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import slixmpp
from slixmpp.xmlstream.handler import Waiter
from slixmpp.xmlstream.matcher import MatcherId

ADMIN = "http://jabber.org/protocol/admin#"


class Client(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """A client whose `outcome` is what it found."""

    def __init__(self, jid: str, password: str, cafile: str) -> None:
        super().__init__(jid, password)
        for plugin in ("xep_0004", "xep_0030", "xep_0050", "xep_0077", "xep_0133"):
            self.register_plugin(plugin)
        self.ca_certs = Path(cafile)
        self.enable_direct_tls = False
        self.outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.add_event_handler("failed_auth", lambda _: self.tell("refused"))

    def tell(self, found: Any) -> None:
        if not self.outcome.done():
            self.outcome.set_result(found)


async def deed(client: Client, name: str, arguments: list[str]) -> None:
    registration = client.plugin["xep_0077"]
    try:
        if name == "list":
            found = await client.plugin["xep_0050"].get_commands("localhost")
            client.tell([item[1] for item in found["disco_items"]["items"]])
        elif name == "add-user":
            client.tell(await add_user(client, *arguments))
        elif name == "invite":
            found = await invite(client)
            client.tell(found)
        elif name == "password":
            await registration.change_password(arguments[0], jid="localhost")
            client.tell("changed")
        elif name == "remove":
            await registration.cancel_registration(jid="localhost")
            client.tell("removed")
    except slixmpp.exceptions.IqError as error:
        client.tell(error.condition)


async def add_user(client: Client, jid: str, password: str) -> str:
    """By the library's own calls of XEP-0133: a form is asked for, filled in and completed."""
    done: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def asked(iq: Any, session: Any) -> None:
        form = client.plugin["xep_0004"].make_form(ftype="submit")
        form.add_field(var="accountjid", value=jid)
        form.add_field(var="password", value=password)
        form.add_field(var="password-verify", value=password)
        session["payload"] = form
        session["next"] = finished
        client.plugin["xep_0050"].complete_command(session)

    def finished(iq: Any, session: Any) -> None:
        done.set_result(iq["command"]["status"])

    def failed(iq: Any, session: Any) -> None:
        done.set_result(iq["error"]["condition"])

    client.plugin["xep_0133"].add_user("localhost", session={"next": asked, "error": failed})
    return await asyncio.wait_for(done, 20)


async def invite(client: Client) -> str:
    """XEP-0401 as an ad-hoc command that answers at once."""
    iq = await client.plugin["xep_0050"].send_command("localhost", "urn:xmpp:invite#invite", action="execute")
    return str(iq["command"]["form"].get_values()["uri"])


async def show(client: Client, token: str) -> str:
    """XEP-0445, which the library does not know: on its stream, past its filter of what may come before a session.
    Answers the condition of the refusal, "" if there was none.
    """
    waiter = Waiter("preauth", MatcherId("pa1"))
    client.register_handler(waiter)
    client.send_raw(f"<iq type='set' id='pa1' to='localhost'><preauth xmlns='urn:xmpp:pars:0' token='{token}'/></iq>")
    answer = await waiter.wait(20)
    return str(answer["error"]["condition"]) if answer["type"] == "error" else ""


async def main(does: str, jid: str, password: str, port: str, cafile: str, *arguments: str) -> None:
    client = Client(jid, password, cafile)

    async def register(form: Any) -> None:
        refusal = await show(client, arguments[0]) if arguments else ""
        if refusal:
            client.tell(refusal)
            return
        answer = client.Iq()
        answer["type"] = "set"
        answer["register"]["username"] = client.boundjid.user
        answer["register"]["password"] = client.password
        await answer.send()
        client.tell("registered")

    if does == "register":
        client.add_event_handler("register", register)
    else:
        client.plugin["xep_0077"].create_account = False
        client.add_event_handler("session_start", lambda _: asyncio.ensure_future(deed(client, does, list(arguments))))
    client.connect("127.0.0.1", int(port))
    found = await asyncio.wait_for(client.outcome, 30)
    await client.disconnect(wait=2.0)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
