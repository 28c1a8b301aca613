"""kalyke-apns against an address file: argv is addresses.json and device tokens; prints JSON."""

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path

from kalyke import ApnsClient, ApnsConfig
from kalyke.exceptions import ApnsProviderException


@dataclass(frozen=True)
class LocalClient(ApnsClient):
    endpoint: str = ""

    @property
    def _base_url(self) -> str:
        return self.endpoint


async def main(addresses: dict[str, str], devices: list[str]) -> None:
    client = LocalClient(
        use_sandbox=False,
        team_id="TEAM123456",
        auth_key_id="KEY1234567",
        auth_key_filepath=addresses["apns_key_file"],
        endpoint=addresses["apns_endpoint"],
    )
    outcomes = []
    for device in devices:
        try:
            sent = await client.send_message(device, {"aps": {"alert": "hello"}}, ApnsConfig(topic="org.example.chat"))
            outcomes.append(["sent", len(sent)])
        except ApnsProviderException as error:
            outcomes.append([type(error).__name__, error.error])
    print(json.dumps(outcomes))


asyncio.run(main(json.loads(Path(sys.argv[1]).read_text()), sys.argv[2:]))
