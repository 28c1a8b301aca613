"""XEP-0402, XEP-0048 and XEP-0049 on the wire: one set of bookmarks, whichever way a client keeps them."""

from xml.etree.ElementTree import Element

import pytest

from gateway.xmpp import ns
from tests.support.iq import ask, error_of, features, info, refusal, result
from tests.support.phone import Phone
from tests.support.processes import Server

ROOM, CELLAR = "play@rooms.localhost", "cellar@rooms.localhost"
EXTENSIONS = "<extensions><pinned xmlns='urn:xmpp:bookmarks-pinning:0'/></extensions>"
MANY = (
    f"<publish-options><x xmlns='{ns.DATA_FORMS}' type='submit'>"
    f"<field var='FORM_TYPE' type='hidden'><value>{ns.PUBSUB_PUBLISH_OPTIONS}</value></field>"
    "<field var='pubsub#persist_items'><value>true</value></field>"
    "<field var='pubsub#max_items'><value>max</value></field>"
    "<field var='pubsub#send_last_published_item'><value>never</value></field>"
    "<field var='pubsub#access_model'><value>whitelist</value></field></x></publish-options>"
)
PAGE = "<url url='https://localhost/' name='Home'/>"


def on(server: Server) -> Phone:
    return Phone(server, server.account()).bind()


def refused(answer: Element) -> str:
    return error_of(answer)


def keep_private(phone: Phone, *elements: str) -> str:
    storage = f"<storage xmlns='{ns.BOOKMARKS_LEGACY}'>{''.join(elements)}</storage>"
    return refused(ask(phone, f"<query xmlns='{ns.PRIVATE}'>{storage}</query>", type="set"))


def private(phone: Phone) -> Element:
    query = f"<query xmlns='{ns.PRIVATE}'><storage xmlns='{ns.BOOKMARKS_LEGACY}'/></query>"
    return result(phone, query)[0]


def publish(phone: Phone, node: str, item: str, payload: str) -> str:
    publishing = f"<publish node='{node}'><item id='{item}'>{payload}</item></publish>"
    options = MANY if node == ns.BOOKMARKS else ""
    return refused(ask(phone, f"<pubsub xmlns='{ns.PUBSUB}'>{publishing}{options}</pubsub>", type="set"))


def publish_list(phone: Phone, *elements: str) -> str:
    storage = f"<storage xmlns='{ns.BOOKMARKS_LEGACY}'>{''.join(elements)}</storage>"
    return publish(phone, ns.BOOKMARKS_LEGACY, "current", storage)


def bookmark(phone: Phone, jid: str, name: str, inside: str = "<nick>J</nick>", autojoin: str = "1") -> str:
    attributes = f"name='{name}' autojoin='{autojoin}'"
    return publish(phone, ns.BOOKMARKS, jid, f"<conference xmlns='{ns.BOOKMARKS}' {attributes}>{inside}</conference>")


def retract(phone: Phone, jid: str) -> str:
    request = f"<retract node='{ns.BOOKMARKS}' notify='true'><item id='{jid}'/></retract>"
    return refused(ask(phone, f"<pubsub xmlns='{ns.PUBSUB}'>{request}</pubsub>", type="set"))


def items(phone: Phone, node: str = ns.BOOKMARKS) -> list[Element]:
    return list(result(phone, f"<pubsub xmlns='{ns.PUBSUB}'><items node='{node}'/></pubsub>")[0])


def rooms(phone: Phone) -> dict[str, tuple[str, str, str]]:
    """The items: address -> name, autojoin, nick."""
    found = {}
    for item in items(phone):
        conference = item[0]
        nick = conference.findtext(f"{{{ns.BOOKMARKS}}}nick") or ""
        found[item.get("id", "")] = (conference.get("name", ""), conference.get("autojoin", ""), nick)
    return found


def listed(storage: Element) -> dict[str, tuple[str, str, str]]:
    """The list: address -> name, autojoin, nick."""
    return {
        one.get("jid", ""): (
            one.get("name", ""),
            one.get("autojoin", ""),
            one.findtext(f"{{{ns.BOOKMARKS_LEGACY}}}nick") or "",
        )
        for one in storage.iter(f"{{{ns.BOOKMARKS_LEGACY}}}conference")
    }


def old(jid: str, name: str, nick: str = "J", autojoin: str = "1") -> str:
    return f"<conference jid='{jid}' name='{name}' autojoin='{autojoin}'><nick>{nick}</nick></conference>"


def test_the_account_says_that_bookmarks_are_converted(server: Server) -> None:
    phone = on(server)

    assert {f"{ns.BOOKMARKS}#compat", f"{ns.BOOKMARKS}#compat-pep"} <= features(info(phone, phone.account.jid))


def test_a_bookmark_of_today_is_in_both_older_lists(server: Server) -> None:
    phone = on(server)

    assert "" == bookmark(phone, ROOM, "The &lt;Play&gt;")
    (published,) = items(phone, ns.BOOKMARKS_LEGACY)
    for storage in (private(phone), published[0]):
        assert {ROOM: ("The <Play>", "true", "J")} == listed(storage)
    assert "current" == published.get("id")


def test_a_bookmark_that_is_retracted_leaves_both_older_lists(server: Server) -> None:
    phone = on(server)
    bookmark(phone, ROOM, "Play")
    bookmark(phone, CELLAR, "Cellar")

    assert "" == retract(phone, ROOM)
    assert [CELLAR] == list(listed(private(phone)))
    assert [CELLAR] == list(listed(items(phone, ns.BOOKMARKS_LEGACY)[0][0]))


@pytest.mark.parametrize("keep", [keep_private, publish_list])
def test_an_older_list_becomes_bookmarks_of_today(server: Server, keep: object) -> None:
    phone = on(server)
    assert callable(keep)

    assert "" == keep(phone, old("PLAY@rooms.localhost", "Play"), old(CELLAR, "Cellar", "C", "false"))
    assert {ROOM: ("Play", "true", "J"), CELLAR: ("Cellar", "false", "C")} == rooms(phone)
    assert (
        rooms(phone) == listed(private(phone)) == listed(items(phone, ns.BOOKMARKS_LEGACY)[0][0])
        or keep is publish_list
    )


@pytest.mark.parametrize("keep", [keep_private, publish_list])
def test_an_older_list_replaces_all_and_tells_only_what_is_different(server: Server, keep: object) -> None:
    phone = on(server)
    assert callable(keep)
    bookmark(phone, ROOM, "Play", f"<nick>J</nick>{EXTENSIONS}")
    bookmark(phone, CELLAR, "Cellar", f"<nick>J</nick>{EXTENSIONS}")
    bookmark(phone, "gone@rooms.localhost", "Gone")

    keep(phone, old(ROOM, "Play"), old(CELLAR, "Basement"))

    by_name = {item.get("id"): item[0] for item in items(phone)}
    pinned = f"{{{ns.BOOKMARKS}}}extensions/{{urn:xmpp:bookmarks-pinning:0}}pinned"
    assert {ROOM, CELLAR} == set(by_name)
    assert "1" == by_name[ROOM].get("autojoin")  # as it was written, so nothing was published anew
    assert "Basement" == by_name[CELLAR].get("name")
    assert all(one.find(pinned) is not None for one in by_name.values())


@pytest.mark.parametrize("keep", [keep_private, publish_list])
def test_what_is_no_room_stays_in_the_older_lists(server: Server, keep: object) -> None:
    phone = on(server)
    assert callable(keep)
    keep(phone, PAGE, old(ROOM, "Play"), "<conference jid='no room' name='x'/>", "<conference name='y'/>")

    bookmark(phone, CELLAR, "Cellar")

    assert {ROOM, CELLAR} == set(rooms(phone))
    for storage in (private(phone), items(phone, ns.BOOKMARKS_LEGACY)[0][0]):
        assert {ROOM, CELLAR, "no room", ""} == set(listed(storage))
        assert ["https://localhost/"] == [one.get("url") for one in storage.iter(f"{{{ns.BOOKMARKS_LEGACY}}}url")]


def test_an_empty_list_in_private_xml_takes_all_away(server: Server) -> None:
    phone = on(server)
    keep_private(phone, PAGE, old(ROOM, "Play"))

    assert "" == keep_private(phone)
    assert {} == rooms(phone)
    assert 0 == len(private(phone))


def test_bookmarks_are_the_owners_alone(server: Server) -> None:
    juliet, romeo = on(server), on(server)
    keep_private(juliet, old(ROOM, "Play"))

    for node in (ns.BOOKMARKS, ns.BOOKMARKS_LEGACY):
        query = f"<pubsub xmlns='{ns.PUBSUB}'><items node='{node}'/></pubsub>"
        assert "service-unavailable" == refusal(romeo, query, to=juliet.account.jid)


@pytest.mark.parametrize("content", ["text", "<conference/>text", "<a xmlns='urn:a'>x</a>text"])
def test_what_is_no_list_is_refused_in_private_xml(server: Server, content: str) -> None:
    phone = on(server)
    bookmark(phone, ROOM, "Play")

    assert "bad-request" == keep_private(phone, content)
    assert [ROOM] == list(rooms(phone))


@pytest.mark.parametrize("payload", ["<storage xmlns='urn:x'/>", f"<storage xmlns='{ns.BOOKMARKS_LEGACY}'>t</storage>"])
def test_an_odd_published_list_changes_no_bookmarks_that_it_does_not_name(server: Server, payload: str) -> None:
    phone = on(server)
    bookmark(phone, ROOM, "Play")
    publish(phone, ns.BOOKMARKS_LEGACY, "current", payload)

    assert [ROOM] == list(rooms(phone))


def test_an_odd_bookmark_is_in_no_list(server: Server) -> None:
    phone = on(server)
    bookmark(phone, ROOM, "Play")
    publish(phone, ns.BOOKMARKS, "other@rooms.localhost", "<conference xmlns='urn:other'/>")
    publish(phone, ns.BOOKMARKS, "no address", f"<conference xmlns='{ns.BOOKMARKS}'/>")

    assert [ROOM] == list(listed(private(phone)))


def test_a_node_that_a_client_made_for_one_item_comes_to_hold_them_all(server: Server) -> None:
    phone = on(server)
    payload = f"<conference xmlns='{ns.BOOKMARKS}' name='Play' autojoin='true'/>"
    careless = f"<publish node='{ns.BOOKMARKS}'><item id='{ROOM}'>{payload}</item></publish>"
    ask(phone, f"<pubsub xmlns='{ns.PUBSUB}'>{careless}</pubsub>", type="set")

    assert "" == keep_private(phone, old(ROOM, "Play", nick=""), old(CELLAR, "Cellar"))
    assert {ROOM, CELLAR} == set(rooms(phone))
