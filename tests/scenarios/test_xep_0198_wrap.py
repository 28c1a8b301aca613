"""XEP-0198, section 4: counters return from 2^32 - 1 to 0.

No test can send so much, so the store is told that it happened.
"""

import redis

from gateway.mailbox import embedded, keys
from gateway.xmpp import ns
from tests.support.phone import Phone, online, sm
from tests.support.processes import Server

MODULUS = 2**32


def forward(server: Server, phone: Phone, mark: int) -> None:
    """Pretends that a sleeping session had sent and received until both counters stood at `mark`."""
    store = redis.Redis.from_url(embedded.resolve("embedded", server.directory / "data"))
    key = keys.key(keys.prefix(phone.account.jid), "session", phone.session_id)
    server.wait(lambda: store.hget(key, "node") == b"", "the session to sleep")
    base = int(store.hget(key, "base") or 0)
    assert store.hget(key, "tail") == store.hget(key, "acked")

    store.hset(key, mapping={"tail": base + mark, "acked": base + mark, "h": mark})
    store.close()


def test_acks_and_resumptions_go_on_correctly_through_zero(server: Server) -> None:
    juliet, romeo = online(server, server.account()), online(server, server.account())
    juliet.round_trip()
    juliet.ack()
    juliet.round_trip()
    juliet.ack()
    juliet.cut()
    forward(server, juliet, MODULUS - 3)

    phone = Phone(server, juliet.account)
    resumed = phone.resume(juliet.session_id, MODULUS - 3)
    for number in range(5):
        romeo.message(juliet.jid, f"in {number}")
        phone.message(romeo.jid, f"out {number}")
    bodies = phone.bodies(5)
    handled = phone.handled()
    phone.ack(2)
    phone.round_trip()
    phone.cut()
    romeo.message(juliet.jid, "after zero")
    romeo.bodies(5)
    romeo.round_trip()
    again = Phone(server, juliet.account)
    resumed_again = again.resume(juliet.session_id, 3)

    assert str(MODULUS - 3) == resumed.get("h")
    assert [f"in {number}" for number in range(5)] == bodies
    assert 2 == handled
    assert (sm("resumed"), "3") == (resumed_again.tag, resumed_again.get("h"))
    assert ["after zero"] == again.bodies(1)


def test_an_ack_beyond_what_was_sent_is_refused_on_the_other_side_of_zero_too(server: Server) -> None:
    juliet = online(server, server.account())
    juliet.cut()
    forward(server, juliet, MODULUS - 1)

    phone = Phone(server, juliet.account)
    phone.resume(juliet.session_id, MODULUS - 1)
    phone.send(f"<a xmlns='{ns.SM}' h='1'/>")
    too_high = phone.stream_error().find(sm("handled-count-too-high"))

    assert too_high is not None
    assert ("1", str(MODULUS - 1)) == (too_high.get("h"), too_high.get("send-count"))
