"""XEP-0163 on the wire: who may read, subscribe and publish, and what others are told."""

from xml.etree.ElementTree import tostring

import pytest

from gateway.xmpp import ns
from tests.scenarios.nodes import TEXT, TUNE, Pair, a_client, a_pair, configured, done, owner, pubsub, refusal
from tests.support.eventing import Client, befriend, ids, items, publish, text_of
from tests.support.iq import ask, block, result
from tests.support.processes import Server


@pytest.fixture
def pair(server: Server) -> Pair:
    return a_pair(server)


@pytest.fixture
def juliet(server: Server) -> Client:
    return a_client(server)


def test_who_is_no_contact_reads_and_subscribes_to_what_is_open(server: Server) -> None:
    juliet = Client(server, server.account()).online()
    romeo = Client(server, server.account()).online()
    to, subscribe = juliet.account.jid, pubsub(f"<subscribe node='{TUNE}' jid='{romeo.account.jid}'/>")
    done(juliet, publish(TUNE, TEXT, access_model="open"))

    assert ["current"] == ids(result(romeo, items(TUNE), to=to))
    answer = done(romeo, subscribe, to=to)
    assert "subscribed" == answer[0][0].get("subscription")
    assert "current" in text_of(romeo.event())
    done(juliet, publish(TUNE, TEXT, item="next"))
    assert "next" in text_of(romeo.event())
    listed = result(romeo, pubsub("<subscriptions/>"), to=to)
    assert [(TUNE, romeo.account.jid)] == [(one.get("node"), one.get("jid")) for one in listed[0]]
    done(romeo, subscribe.replace("subscribe", "unsubscribe"), to=to)
    assert ("unexpected-request", "not-subscribed") == refusal(
        romeo, subscribe.replace("subscribe", "unsubscribe"), to=to
    )


def test_a_whitelist_lets_in_whom_it_names(pair: Pair) -> None:
    to = pair.juliet.account.jid
    done(pair.juliet, publish("n", TEXT, access_model="whitelist"))
    change = owner(
        f"<affiliations node='n'><affiliation jid='{pair.romeo.account.jid}' affiliation='%s'/></affiliations>"
    )

    assert ("not-allowed", "closed-node") == refusal(pair.romeo, items("n"), "get", to)
    done(pair.juliet, change % "member")
    assert ["current"] == ids(result(pair.romeo, items("n"), to=to))
    listed = result(pair.juliet, owner("<affiliations node='n'/>"))
    assert {(to, "owner"), (pair.romeo.account.jid, "member")} == {
        (one.get("jid"), one.get("affiliation")) for one in listed[0]
    }
    own = result(pair.romeo, pubsub("<affiliations/>"), to=to)
    assert [("n", "member")] == [(one.get("node"), one.get("affiliation")) for one in own[0]]
    done(pair.juliet, change % "outcast")
    assert ("forbidden", "") == refusal(pair.romeo, items("n"), "get", to)


def test_a_roster_group_lets_in_who_is_in_it(server: Server) -> None:
    one, other = server.account(), server.account()
    befriend(server, one, other, "Friends")
    juliet, romeo = Client(server, one).online(), Client(server, other).online()
    done(juliet, publish("n", TEXT, access_model="roster", roster_groups_allowed="Enemies"))

    assert ("not-authorized", "not-in-roster-group") == refusal(romeo, items("n"), "get", one.jid)
    done(juliet, configured("n", roster_groups_allowed="Friends"))
    assert ["current"] == ids(result(romeo, items("n"), to=one.jid))


def test_nodes_are_discovered_by_who_may_read_them(pair: Pair) -> None:
    to = pair.juliet.account.jid
    done(pair.juliet, publish("seen", TEXT))
    done(pair.juliet, publish("hidden", TEXT, access_model="whitelist"))

    def listed(client: Client, node: str = "") -> list[tuple[str | None, str | None]]:
        at = f" node='{node}'" if node else ""
        query = result(client, f"<query xmlns='{ns.DISCO_ITEMS}'{at}/>", to=to)
        return [(one.get("node"), one.get("name")) for one in query if one.get("jid") == to]

    assert [("hidden", None), ("seen", None)] == listed(pair.juliet)
    assert [("seen", None)] == listed(pair.romeo)
    assert [(None, "current")] == listed(pair.romeo, "seen")
    for node in ("hidden", "nothing"):
        for query in (ns.DISCO_ITEMS, ns.DISCO_INFO):
            assert ("item-not-found", "") == refusal(pair.romeo, f"<query xmlns='{query}' node='{node}'/>", "get", to)


REQUESTS = {
    "publish": ("set", publish(TUNE, TEXT)),
    "retract": ("set", pubsub(f"<retract node='{TUNE}'><item id='current'/></retract>")),
    "create": ("set", pubsub("<create node='new'/>")),
    "configure": ("set", configured()),
    "show configuration": ("get", owner(f"<configure node='{TUNE}'/>")),
    "default": ("get", owner("<default/>")),
    "delete": ("set", owner(f"<delete node='{TUNE}'/>")),
    "purge": ("set", owner(f"<purge node='{TUNE}'/>")),
    "affiliations": ("get", owner(f"<affiliations node='{TUNE}'/>")),
    "affiliate": (
        "set",
        owner(f"<affiliations node='{TUNE}'><affiliation jid='a@b' affiliation='member'/></affiliations>"),
    ),
    "subscribers": ("get", owner(f"<subscriptions node='{TUNE}'/>")),
    "options": ("get", pubsub(f"<options node='{TUNE}' jid='a@b'/>")),
    "nothing": ("set", pubsub("")),
    "something": ("get", owner("<what/>")),
    "two": ("set", pubsub("<create node='x'/><create node='y'/>")),
}


@pytest.mark.parametrize("what", REQUESTS)
def test_what_is_the_owners_is_refused_to_contacts_and_does_not_exist_for_strangers(pair: Pair, what: str) -> None:
    type_, payload = REQUESTS[what]
    to = pair.juliet.account.jid
    done(pair.juliet, publish(TUNE, f"<tune xmlns='{TUNE}'>mine</tune>"))

    assert ("forbidden", "") == refusal(pair.romeo, payload, type_, to)
    assert "mine" in tostring(result(pair.juliet, items(TUNE)), encoding="unicode")


@pytest.mark.parametrize(
    "request_", [*REQUESTS.values(), ("get", items(TUNE)), ("set", pubsub(f"<subscribe node='{TUNE}' jid='%s'/>")),
                 ("get", pubsub("<subscriptions/>")), ("get", pubsub("<affiliations/>"))]
)  # fmt: skip
def test_strangers_are_answered_as_if_there_were_no_account(server: Server, request_: tuple[str, str]) -> None:
    juliet, romeo = Client(server, server.account()).online(), Client(server, server.account()).online()
    done(juliet, publish(TUNE, TEXT))
    type_, payload = request_
    answers = []
    for to in (juliet.account.jid, "nobody@localhost"):
        answer = ask(romeo, payload.replace("%s", romeo.account.jid), type=type_, to=to)
        answer.set("id", "")  # it differs by itself, as the address does
        answers.append(tostring(answer, "unicode").replace(to, ""))

    assert "service-unavailable" in answers[0]
    assert answers[0] == answers[1]


def test_who_is_blocked_is_answered_likewise(server: Server, pair: Pair) -> None:
    done(pair.juliet, publish(TUNE, TEXT, access_model="open"))
    block(server, pair.juliet.account, pair.romeo.account.jid)

    assert ("service-unavailable", "") == refusal(pair.romeo, items(TUNE), "get", pair.juliet.account.jid)


def test_the_servers_address_has_no_nodes(juliet: Client) -> None:
    assert ("service-unavailable", "") == refusal(juliet, items(TUNE), "get", "localhost")
