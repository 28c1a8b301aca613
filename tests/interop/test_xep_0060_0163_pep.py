"""slixmpp and aioxmpp as they are: they publish, are told by +notify, fetch, configure, subscribe."""

import pytest

from tests.support.eventing import befriend
from tests.support.pep_clients import PepLibrary, pep_client
from tests.support.processes import Server

TUNE = "http://jabber.org/protocol/tune"
PAYLOAD = f"<tune xmlns='{TUNE}'><artist>Erik Satie</artist></tune>"


def test_slixmpp_finds_what_the_account_can_do(server: Server) -> None:
    with pep_client("slixmpp_pep", server, server.account()) as client:
        features = client.ask("features", jid=client.account.jid)

        assert "http://jabber.org/protocol/pubsub#publish-options" in features
        assert "http://jabber.org/protocol/pubsub#filtered-notifications" in features


def test_slixmpp_is_told_by_its_contact_and_gets_the_last_item_when_it_comes_late(server: Server) -> None:
    juliet, romeo, late = server.account(), server.account(), server.account()
    befriend(server, juliet, romeo)
    befriend(server, juliet, late)
    with (
        pep_client("slixmpp_pep", server, juliet, TUNE) as publisher,
        pep_client("slixmpp_pep", server, romeo, TUNE) as contact,
    ):
        publisher.ask("publish", node=TUNE, id="current", payload=PAYLOAD)

        for client in (publisher, contact):
            event = client.wait("published")
            assert (TUNE, juliet.jid, "current") == (event["node"], event["sender"], event["id"])
            assert "Erik Satie" in event["payload"]
        with pep_client("slixmpp_pep", server, late, TUNE) as latecomer:
            assert juliet.jid == latecomer.wait("published")["sender"]


def test_slixmpp_creates_configures_and_deletes(server: Server) -> None:
    with pep_client("slixmpp_pep", server, server.account()) as client:
        client.done("create", node="n", options={"access_model": "open", "max_items": "3"})
        client.done("configure", node="n", options={"title": "Notes", "max_items": "max"})
        shown = client.ask("configuration", node="n")

        assert ("open", "Notes", "max") == tuple(
            shown[f"pubsub#{name}"] for name in ("access_model", "title", "max_items")
        )
        for number in range(4):
            client.ask("publish", node="n", id=f"i{number}", payload=PAYLOAD)
        assert ["i2", "i3"] == [item for item, _ in client.ask("items", node="n", most=2)]
        assert ["n"] == client.ask("nodes", jid=client.account.jid)
        client.done("purge", node="n")
        assert [] == client.ask("items", node="n")
        client.done("delete", node="n")
        assert ["refused", "item-not-found"] == client.ask("items", node="n")


def test_slixmpp_subscribes_to_what_is_open(server: Server) -> None:
    juliet, stranger = server.account(), server.account()
    with (
        pep_client("slixmpp_pep", server, juliet) as publisher,
        pep_client("slixmpp_pep", server, stranger) as reader,
    ):
        publisher.ask("publish", node="n", id="a", payload=PAYLOAD, options={"access_model": "open"})
        assert "subscribed" == reader.ask("subscribe", jid=juliet.jid, node="n")
        assert "a" == reader.wait("published")["id"]
        publisher.ask("publish", node="n", id="b", payload=PAYLOAD)
        assert "b" == reader.wait("published", 2)["id"]
        reader.done("unsubscribe", jid=juliet.jid, node="n")
        again = reader.ask("unsubscribe", jid=juliet.jid, node="n")
        assert ["refused", "unexpected-request", "not-subscribed"] == again


@pytest.mark.parametrize(("reader", "writer"), [("aioxmpp_pep", "slixmpp_pep"), ("slixmpp_pep", "aioxmpp_pep")])
def test_libraries_tell_each_other(server: Server, reader: PepLibrary, writer: PepLibrary) -> None:
    juliet, romeo = server.account(), server.account()
    befriend(server, juliet, romeo)
    with pep_client(reader, server, romeo, TUNE) as contact, pep_client(writer, server, juliet) as publisher:
        publisher.ask("publish", node=TUNE, id="current", payload=PAYLOAD)

        event = contact.wait("published")
        assert (TUNE, juliet.jid) == (event["node"], event["sender"])
        assert ["current"] == [item for item, _ in contact.ask("items", jid=juliet.jid, node=TUNE)]
