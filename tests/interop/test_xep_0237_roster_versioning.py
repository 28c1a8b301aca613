"""slixmpp as it is keeps its roster's version, and gets nothing again that it has."""

from tests.support.deeds import deed
from tests.support.processes import DOMAIN, Server


def test_a_roster_that_it_has_does_not_come_again(server: Server) -> None:
    first, second = deed(server, "slixmpp", server.account(), "roster", f"romeo@{DOMAIN}", "Romeo <M>")

    assert "Romeo <M>" == first[0] == second[0]
    assert (True, False) == (first[1], second[1])
