"""What slixmpp as it is sees of its streams while it logs in: python -m tests.support.slixmpp_stream_information
features JID PASSWORD PORT CAFILE
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import slixmpp
from slixmpp.xmlstream import ET
from slixmpp.xmlstream.handler import Callback
from slixmpp.xmlstream.matcher import MatchXPath


class Looker(slixmpp.ClientXMPP):  # type: ignore[misc]  # slixmpp's classes are untyped
    """It keeps the features of each of its streams, and SASL's challenges, as they came."""

    def __init__(self, jid: str, password: str) -> None:
        super().__init__(jid, password)
        self.seen: list[str] = []
        self.challenges: list[str] = []
        matcher = MatchXPath("{http://etherx.jabber.org/streams}features")
        self.register_handler(Callback("what there is", matcher, self._look))
        challenge = MatchXPath("{urn:ietf:params:xml:ns:xmpp-sasl}challenge")
        self.register_handler(Callback("what is asked", challenge, lambda one: self.challenges.append(one.xml.text)))

    def _look(self, features: Any) -> None:
        self.seen.append(ET.tostring(features.xml, encoding="unicode"))


async def main(_does: str, jid: str, password: str, port: str, cafile: str) -> None:
    client = Looker(jid, password)
    client.ca_certs = Path(cafile)
    client.enable_direct_tls = False
    started = asyncio.get_running_loop().create_future()
    client.add_event_handler("session_start", lambda _: started.done() or started.set_result(None))
    client.connect("127.0.0.1", int(port))
    await asyncio.wait_for(started, 20)
    mechanism = client.plugin["feature_mechanisms"].mech.name
    told = {"features": client.seen, "challenges": client.challenges, "limits": list(client.limits)}
    print(json.dumps({**told, "mechanism": mechanism}))
    await client.disconnect(wait=2.0)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
