"""XEP-0115 on the wire: what the stream features announce is the hash of what the server answers."""

from gateway.xmpp import caps, forms, ns
from tests.support.iq import ask, error_of, features, info
from tests.support.phone import Phone
from tests.support.processes import DOMAIN, Server


def verified(query: object) -> str:
    """The verification string, computed as a client does."""
    from xml.etree.ElementTree import Element

    assert isinstance(query, Element)
    identities = [
        (one.get("category", ""), one.get("type", ""), one.get("name", ""))
        for one in query.iter(f"{{{ns.DISCO_INFO}}}identity")
    ]
    extended = [
        forms.Form(
            "result",
            {
                field.get("var", ""): [value.text or "" for value in field]
                for field in x.iter(f"{{{ns.DATA_FORMS}}}field")
            },
        )
        for x in query.iter(f"{{{ns.DATA_FORMS}}}x")
    ]
    return caps.verification(identities, features(query), extended)


def test_the_announced_hash_is_that_of_the_answer(server: Server) -> None:
    phone = Phone(server, server.account())
    announced = phone.features.find(f"{{{ns.CAPS}}}c")
    assert announced is not None
    phone.bind()

    query = info(phone)
    node = f"{announced.get('node')}#{announced.get('ver')}"
    again = info(phone, node=node)

    assert "sha-1" == announced.get("hash")
    assert announced.get("ver") == verified(query) == verified(again)
    assert node == again.get("node")
    assert features(query) == features(again)


def test_another_hash_is_not_known(server: Server) -> None:
    phone = Phone(server, server.account())
    announced = phone.features.find(f"{{{ns.CAPS}}}c")
    assert announced is not None
    phone.bind()
    known = f"{announced.get('node')}#{announced.get('ver')}"

    for node, to in ((f"{announced.get('node')}#xxxx", DOMAIN), (known, phone.account.jid), (known, f"push.{DOMAIN}")):
        answer = ask(phone, f"<query xmlns='{ns.DISCO_INFO}' node='{node}'/>", to=to)

        assert "item-not-found" == error_of(answer)
