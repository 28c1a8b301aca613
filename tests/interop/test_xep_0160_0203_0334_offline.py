"""slixmpp as it is sends to somebody who is away, with hints, and gets what waited, stamped."""

import time

from tests.support.deeds import deed
from tests.support.processes import DOMAIN, Server


def test_what_waited_comes_in_order_with_its_time_and_what_was_not_to_be_stored_does_not(server: Server) -> None:
    juliet, romeo = server.account(), server.account()
    before = time.time()
    deed(server, "slixmpp", romeo, "say", juliet.jid, "one")
    deed(server, "slixmpp", romeo, "say", juliet.jid, "never", "no-store")
    deed(server, "slixmpp", romeo, "say", juliet.jid, "two", "store")

    heard = deed(server, "slixmpp", juliet, "hear", "2")

    assert [("one", DOMAIN), ("two", DOMAIN)] == [(body, by) for body, _, by in heard]
    assert before - 2 <= heard[0][1] < heard[1][1] <= time.time() + 2
