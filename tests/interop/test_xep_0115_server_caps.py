"""slixmpp as it is takes the server's capabilities from the stream features, asks once and checks the hash."""

from gateway.xmpp import ns
from tests.support.deeds import deed
from tests.support.processes import DOMAIN, Server


def test_it_checks_and_keeps_what_the_stream_features_announce(server: Server) -> None:
    found = deed(server, "slixmpp", server.account(), "server_caps", DOMAIN)

    assert found is not None
    assert found["ver"].endswith("=")
    assert ns.DISCO_INFO in found["features"]
