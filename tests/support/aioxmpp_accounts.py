"""aioxmpp as it is, doing one thing with accounts: python -m tests.support.aioxmpp_accounts DEED JID PASSWORD …"""

import asyncio
import json
import logging
import sys
from typing import Any

import aioxmpp
import aioxmpp.adhoc
import aioxmpp.connector
import aioxmpp.ibr

from tests.support.aioxmpp_runner import ExactCertificate

ADMIN = "http://jabber.org/protocol/admin#"
SERVER = aioxmpp.JID.fromstr("localhost")


async def add_user(client: Any, jid: str, password: str) -> str:
    adhoc = client.summon(aioxmpp.adhoc.AdHocClient)
    session = await adhoc.execute(SERVER, f"{ADMIN}add-user")
    form = session.first_payload
    for field in form.fields:
        if field.var == "accountjid":
            field.values[:] = [jid]
        elif field.var in ("password", "password-verify"):
            field.values[:] = [password]
    form.type_ = aioxmpp.forms.DataType.SUBMIT if hasattr(aioxmpp.forms, "DataType") else form.type_
    await session.proceed(action=aioxmpp.adhoc.xso.ActionType.COMPLETE, payload=[form])
    return str(session.status.value)


async def deed(client: Any, does: str, arguments: list[str]) -> Any:
    try:
        if does == "list":
            found = await client.summon(aioxmpp.adhoc.AdHocClient).get_commands(SERVER)
            return [item.node for item in found]
        if does == "add-user":
            return await add_user(client, *arguments)
        service = client.summon(aioxmpp.ibr.RegistrationService)
        if does == "password":
            await service.change_pass(arguments[0])
            return "changed"
        await service.cancel_registration()
    except aioxmpp.errors.XMPPError as error:
        return error.condition.value[1]
    return "removed"


async def main(does: str, jid: str, password: str, port: str, cafile: str, *arguments: str) -> None:
    async def answer(_jid: Any, attempt: int) -> str | None:
        return password if attempt == 0 else None

    security = aioxmpp.make_security_layer(answer, no_verify=True)
    security = security._replace(certificate_verifier_factory=lambda: ExactCertificate(cafile))
    peer = ("127.0.0.1", int(port), aioxmpp.connector.STARTTLSConnector())
    if does == "register":
        found: Any = await register(jid, password, security, peer)
    else:
        client = aioxmpp.PresenceManagedClient(aioxmpp.JID.fromstr(jid), security, override_peer=[peer])
        async with client.connected():
            found = await asyncio.wait_for(deed(client, does, list(arguments)), 30)
            sys.stdout.write(json.dumps(found) + "\n")
            sys.stdout.flush()
            return
    sys.stdout.write(json.dumps(found) + "\n")


async def register(jid: str, password: str, security: Any, peer: Any) -> str:
    """In front of authentication, as the library's example does."""
    wanted = aioxmpp.JID.fromstr(jid)
    host, port, connector = peer
    _, stream, _features = await connector.connect(
        asyncio.get_running_loop(), security, wanted.domain, host, port, 20.0, base_logger=logging.getLogger()
    )
    await aioxmpp.ibr.get_registration_fields(stream)
    await aioxmpp.ibr.register(stream, aioxmpp.ibr.Query(username=wanted.localpart, password=password))
    stream.abort()
    return "registered"


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
