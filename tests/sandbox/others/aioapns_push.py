"""aioapns against an address file: argv is addresses.json, mode (token or certificate), device tokens; prints JSON."""

import asyncio
import json
import ssl
import sys
from pathlib import Path

from aioapns import APNs, NotificationRequest
from aioapns.connection import APNsProductionClientProtocol


async def main(addresses: dict[str, str], mode: str, devices: list[str]) -> None:
    host, port = addresses["apns"].rsplit(":", 1)
    context = ssl.create_default_context(cafile=addresses["ca_file"])
    context.set_alpn_protocols(["h2"])
    if mode == "certificate":
        client = APNs(client_cert=addresses["client_certificate_file"], topic="org.example.chat", ssl_context=context)
    else:
        client = APNs(
            key=Path(addresses["apns_key_file"]).read_text(),
            key_id="KEY1234567",
            team_id="TEAM123456",
            topic="org.example.chat",
            ssl_context=context,
        )
    client.pool.protocol_class = type(
        "LocalProtocol", (APNsProductionClientProtocol,), {"APNS_SERVER": host, "APNS_PORT": int(port)}
    )
    outcomes = []
    for device in devices:
        request = NotificationRequest(device_token=device, message={"aps": {"alert": "hello"}})
        result = await client.send_notification(request)
        outcomes.append([result.status, result.description, result.timestamp])
    print(json.dumps(outcomes))


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3:]))
