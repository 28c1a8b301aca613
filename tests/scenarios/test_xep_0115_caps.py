"""XEP-0115 on the wire: the server learns what a client wants to be told of."""

from gateway.mailbox import keys
from gateway.xmpp import caps, ns
from tests.support.eventing import NODE, Client, node_of, publish
from tests.support.iq import result, store_of
from tests.support.phone import stanza
from tests.support.processes import Server

TUNE = "http://jabber.org/protocol/tune"
MOOD = "http://jabber.org/protocol/mood"


def say(client: Client, node: str = TUNE) -> None:
    result(client, publish(node, f"<x xmlns='{node}'/>"), type="set")


def known(server: Server, client: Client) -> bytes | None:
    with store_of(server) as store:
        found: bytes | None = store.hget(keys.CAPS, f"sha-1#{client.ver}")
    return found


def test_a_string_that_is_not_known_is_asked_about_by_the_account(server: Server) -> None:
    client = Client(server, server.account(), TUNE).online()

    [request] = client.asked
    assert (client.account.jid, client.jid) == (request.get("from"), request.get("to"))
    assert f"{NODE}#{client.ver}" == request[0].get("node")
    assert f"\n{TUNE}\n".encode() == known(server, client)


def test_a_string_that_is_known_is_not_asked_about_by_whomever_it_comes(server: Server) -> None:
    first = Client(server, server.account(), TUNE).online()
    second = Client(server, server.account(), TUNE, same_as=first).online()
    say(second)

    assert [] == second.asked
    assert TUNE == node_of(second.event())


def test_after_the_answer_the_last_items_come(server: Server) -> None:
    account = server.account()
    publisher = Client(server, account).online("laptop")
    say(publisher)
    late = Client(server, account, TUNE).online()

    assert TUNE == node_of(late.event())


def test_an_answer_that_does_not_prove_the_string_holds_for_the_session_alone(server: Server) -> None:
    client = Client(server, server.account(), TUNE)
    client.bind()
    client.presence(ver="nonsense")
    client.settle()
    say(client)

    assert TUNE == node_of(client.event())
    with store_of(server) as store:
        assert None is store.hget(keys.CAPS, "sha-1#nonsense")


def test_a_poisoned_answer_is_kept_for_nobody(server: Server) -> None:
    honest = Client(server, server.account(), TUNE)
    liar = Client(server, server.account(), TUNE, same_as=honest)
    liar.bind()
    liar.presence()
    request = liar.skip_to(stanza("iq"), stanza("presence"))
    liar.answer(request, [ns.DISCO_INFO])
    liar.settle()

    assert None is known(server, honest)
    honest.online()
    assert 1 == len(honest.asked)


def test_another_hash_function_is_checked_too_and_an_unknown_one_holds_for_the_session(server: Server) -> None:
    client = Client(server, server.account(), TUNE)
    client.bind()
    ver = caps.verification([("client", "phone", "Test")], client.names, hash_name="sha-256")
    client.presence(ver=ver, hash_name="sha-256")
    client.settle()
    client.presence(ver="whirl", hash_name="whirlpool")
    client.settle()
    say(client)

    assert 2 == len(client.asked)
    assert TUNE == node_of(client.event())
    with store_of(server) as store:
        assert store.hexists(keys.CAPS, f"sha-256#{ver}")
        assert not store.hexists(keys.CAPS, "whirlpool#whirl")


def test_presence_without_capabilities_ends_the_interest_and_others_change_it(server: Server) -> None:
    client = Client(server, server.account(), TUNE).online()
    client.send("<presence/>")
    client.settle()
    say(client)

    assert [] == client.events()
    client.wants(MOOD).online()
    say(client)
    say(client, MOOD)
    assert [MOOD] == [node_of(event) for event in client.events()]


def test_a_client_that_answers_with_an_error_or_nonsense_wants_nothing(server: Server) -> None:
    client = Client(server, server.account(), TUNE)
    client.bind()
    for answer in (
        "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>",
        "",
        "<query xmlns='wrong'/>",
        f"<query xmlns='{ns.DISCO_INFO}'/>",
        f"<query xmlns='{ns.DISCO_INFO}'><feature/></query>",
        f"<query xmlns='{ns.DISCO_INFO}'><feature var='a'/><x xmlns='jabber:x:data'><field var='FORM_TYPE' "
        "type='hidden'/></x></query>",
    ):
        client.presence(ver=f"ver{hash(answer)}")
        request = client.skip_to(stanza("iq"), stanza("presence"))
        type_ = "error" if "<error" in answer else "result"
        client.send(f"<iq type='{type_}' id='{request.get('id')}' to='{request.get('from')}'>{answer}</iq>")
    client.settle()
    say(client)

    assert [] == client.events()


def test_odd_capabilities_are_passed_over(server: Server) -> None:
    client = Client(server, server.account(), TUNE)
    client.bind()
    long = "x" * 600
    for c in (
        f"<c xmlns='{ns.CAPS}'/>",
        f"<c xmlns='{ns.CAPS}' hash='sha-1' node='n'/>",
        f"<c xmlns='{ns.CAPS}' hash='sha-1' ver='v'/>",
        f"<c xmlns='{ns.CAPS}' hash='sha-1' node='n' ver='{long}'/>",
        f"<c xmlns='{ns.CAPS}' hash='a:b' node='n' ver='v'/>",
        f"<c xmlns='{ns.CAPS}' hash='sha-1' node='n' ver='v'/>" * 2,
        "<c xmlns='wrong' hash='sha-1' node='n' ver='v'/>",
    ):
        client.send(f"<presence>{c}</presence>")
    client.settle()

    assert [] == client.asked


def test_an_answer_nobody_asked_for_does_no_harm(server: Server) -> None:
    client = Client(server, server.account(), TUNE).online()
    for name in ("caps:", "caps:::", "caps:sha-1:x", "caps", "caps:sha-1:"):
        client.send(f"<iq type='result' id='{name}'><query xmlns='{ns.DISCO_INFO}'><feature var='b'/></query></iq>")
    client.settle()
    say(client)

    assert TUNE == node_of(client.event())
