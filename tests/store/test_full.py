"""Redis has reached its maxmemory: what would need room is refused to who asked, what makes room goes on."""

from pathlib import Path
from xml.etree.ElementTree import Element

import pytest
import redis

from gateway.demo.stream import condition_of
from gateway.mailbox import keys, nodes
from gateway.mailbox.embedded import EmbeddedServer
from gateway.mailbox.memory import memory_of
from tests.store.conftest import House, eventually
from tests.support.phone import Phone, sm, stanza


def refusal(element: Element) -> tuple[str | None, str, str | None]:
    """The id of an answer, its error's condition and type."""
    error = element.find(stanza("error"))
    assert error is not None
    return element.get("id"), condition_of(error), error.get("type")


def test_a_message_is_refused_and_counted_and_the_next_one_arrives_when_there_is_room(house: House) -> None:
    romeo, juliet = house.phone(), house.phone()
    with house.full():
        romeo.message(juliet.jid, "no room", "m1")
        answer = romeo.skip_to(stanza("message"), stanza("presence"))
        counted = romeo.handled()
    romeo.message(juliet.jid, "room again", "m2")

    assert ("m1", "resource-constraint", "wait") == refusal(answer)
    assert 3 == counted  # presence, ping, message
    assert ["room again"] == juliet.bodies(1)


def test_what_had_been_accepted_is_read_acknowledged_and_resumed_meanwhile(house: House) -> None:
    romeo, juliet = house.phone(), house.phone()
    sid, inbound = juliet.session_id, juliet.inbound
    juliet.stream.cut()
    for number in range(5):
        romeo.message(juliet.account.jid, f"kept {number}")
    romeo.handled()
    with house.full():
        again = Phone(house, juliet.account)
        answer = again.resume(sid, inbound)
        bodies = again.bodies(5)
        again.ack()
        is_acked = eventually(lambda: not house.redis.llen(keys.key(keys.prefix(juliet.account.jid), "queue", sid)))

    assert sm("resumed") == answer.tag
    assert [f"kept {number}" for number in range(5)] == bodies
    assert is_acked


REQUESTS = {
    "roster": "<query xmlns='jabber:iq:roster'><item jid='nurse@localhost'/></query>",
    "vcard": "<vCard xmlns='vcard-temp'><FN>Juliet</FN></vCard>",
    "pep": "<pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='n'><item><x xmlns='u:x'/></item></publish>"
    "</pubsub>",
    "private": "<query xmlns='jabber:iq:private'><x xmlns='urn:example:x'/></query>",
    "blocking": "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@localhost'/></block>",
    "archive": "<prefs xmlns='urn:xmpp:mam:2' default='never'><always/><never/></prefs>",
}


@pytest.mark.parametrize("kind", REQUESTS)
def test_a_request_that_would_store_something_is_refused(house: House, kind: str) -> None:
    phone = house.phone()
    with house.full():
        phone.send(f"<iq type='set' id='{kind}'>{REQUESTS[kind]}</iq>")
        answer = phone.skip_to(stanza("iq"), stanza("presence"))

    assert (kind, "resource-constraint", "wait") == refusal(answer)


def test_a_request_that_only_reads_is_answered(house: House) -> None:
    phone = house.phone()
    with house.full():
        phone.send("<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>")
        answer = phone.skip_to(stanza("iq"), stanza("presence"))

    assert "result" == answer.get("type")


def test_a_new_session_is_refused_and_its_stream_goes_on(house: House) -> None:
    phone = Phone(house, house.account())
    with house.full():
        phone.send("<iq type='set' id='b1'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>")
        answer = phone.next()
    bound = phone.bind().jid

    assert ("b1", "resource-constraint", "wait") == refusal(answer)
    assert bound.startswith(phone.account.jid + "/")


def test_presence_that_cannot_be_kept_is_refused(house: House) -> None:
    phone = Phone(house, house.account()).bind()
    with house.full():
        phone.send("<presence id='p1'/>")
        answer = phone.next()

    assert ("p1", "resource-constraint", "wait") == refusal(answer)


def test_sessions_sleep_and_end_and_the_node_shows_signs_of_life(house: House) -> None:
    account = house.account()
    gone, closed = house.phone(account, resource="gone"), house.phone(account, resource="closed")
    at, journal = keys.prefix(account.jid), house.gateway.journal
    with house.full():
        before = nodes.heartbeats(journal)[house.gateway.node.name]
        gone.stream.cut()
        closed.stream.end()
        sleeps = eventually(lambda: house.sleeps(gone))
        has_ended = eventually(lambda: not house.redis.exists(keys.key(at, "session", closed.session_id)))
        beats = eventually(lambda: nodes.heartbeats(journal)[house.gateway.node.name] > before)

    assert (True, True, True) == (sleeps, has_ended, beats)


def test_every_message_of_many_is_either_refused_or_arrives_in_order(house: House) -> None:
    romeo, juliet = house.phone(), house.phone()
    pressure, before = house.gateway.journal.pressure, house.gateway.journal.pressure.refused
    with house.full():
        for number in range(10):
            romeo.message(juliet.jid, f"m{number}", f"m{number}")
        assert eventually(lambda: pressure.refused > before)
    for number in range(10, 20):
        romeo.message(juliet.jid, f"m{number}", f"m{number}")
    juliet_heard = juliet.bodies(1)
    juliet.message(romeo.jid, "the last", "last")
    refused = []
    while (element := romeo.skip_to(stanza("message"), stanza("presence"))).get("id") != "last":
        refused.append(refusal(element)[0])
    juliet_heard += juliet.bodies(20 - len(refused) - 1)

    assert refused
    assert [f"m{number}" for number in range(20) if f"m{number}" not in refused] == juliet_heard


def test_operators_see_how_full_redis_is_and_whether_it_would_rather_forget(house: House) -> None:
    journal = house.gateway.journal
    (before,) = memory_of(journal)
    house.redis.config_set("maxmemory", 512 << 20)
    house.redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        (line,) = memory_of(journal)
    finally:
        house.redis.config_set("maxmemory-policy", "noeviction")
        house.redis.config_set("maxmemory", 0)

    assert (0, True) == (before.limit_bytes, before.is_safe)
    assert (512 << 20, "allkeys-lru", False) == (line.limit_bytes, line.policy, line.is_safe)
    assert 100_000 < line.used_bytes < 512 << 20


def test_the_embedded_server_has_the_limit_that_is_set_and_throws_nothing_away(tmp_path: Path) -> None:
    server = EmbeddedServer(tmp_path, maxmemory_mib=64)
    server.start()
    try:
        with redis.Redis.from_url(server.url) as client:
            found = client.config_get("maxmemory*")
    finally:
        server.stop()

    assert (str(64 << 20), "noeviction") == (found["maxmemory"], found["maxmemory-policy"])
