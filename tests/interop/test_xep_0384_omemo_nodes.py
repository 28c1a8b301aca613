"""OMEMO's nodes as clients use them, by slixmpp's pubsub: open to everybody, many devices' bundles."""

import pytest

from tests.support.eventing import befriend
from tests.support.pep_clients import pep_client
from tests.support.processes import Server

OLD = "eu.siacs.conversations.axolotl"
NEW = "urn:xmpp:omemo:2"


@pytest.mark.parametrize(("devices", "namespace"), [(f"{OLD}.devicelist", OLD), (f"{NEW}:devices", NEW)])
def test_the_list_of_devices_is_open_and_told_to_contacts(server: Server, devices: str, namespace: str) -> None:
    juliet, romeo, stranger = server.account(), server.account(), server.account()
    befriend(server, juliet, romeo)
    payload = f"<list xmlns='{namespace}'><device id='31415'/></list>"
    with (
        pep_client("slixmpp_pep", server, juliet, devices) as owner,
        pep_client("slixmpp_pep", server, romeo, devices) as contact,
        pep_client("slixmpp_pep", server, stranger, devices) as other,
    ):
        owner.ask("publish", node=devices, id="current", payload=payload, options={"access_model": "open"})

        assert "31415" in contact.wait("published")["payload"]
        [[item, found]] = other.ask("items", jid=juliet.jid, node=devices)
        assert "current" == item and "31415" in found
        assert [] == other.all("published")


def test_bundles_of_many_devices_are_items_of_one_node(server: Server) -> None:
    juliet, stranger = server.account(), server.account()
    node, options = f"{NEW}:bundles", {"access_model": "open", "max_items": "max"}
    with (
        pep_client("slixmpp_pep", server, juliet) as owner,
        pep_client("slixmpp_pep", server, stranger) as other,
    ):
        for device in range(20):
            payload = f"<bundle xmlns='{NEW}'><spk id='{device}'>{'A' * 2000}</spk></bundle>"
            owner.ask("publish", node=node, id=str(device), payload=payload, options=options)

        assert [str(device) for device in range(20)] == [
            item for item, _ in other.ask("items", jid=juliet.jid, node=node)
        ]


def test_a_node_of_another_configuration_is_found_out_and_put_right(server: Server) -> None:
    node, options = f"{OLD}.bundles:1", {"access_model": "open"}
    payload = f"<bundle xmlns='{OLD}'/>"
    with pep_client("slixmpp_pep", server, server.account()) as owner:
        owner.ask("publish", node=node, id="current", payload=payload)

        again = {"node": node, "id": "current", "payload": payload, "options": options}
        assert ["refused", "conflict", "precondition-not-met"] == owner.ask("publish", **again)
        owner.done("configure", node=node, options=options)
        assert "current" == owner.ask("publish", **again)
