"""XEP-0163 and XEP-0060 on the wire: what each request is answered, good and bad, to oneself and to others."""

from dataclasses import dataclass
from xml.etree.ElementTree import Element, tostring

import pytest

from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.support.eventing import Client, befriend, ids, items, node_of, publish, text_of
from tests.support.iq import ask, block, error_of, features, info, result, store_of
from tests.support.phone import stanza
from tests.support.processes import Account, Server

TUNE = "http://jabber.org/protocol/tune"
TEXT = f"<tune xmlns='{TUNE}'/>"
NODE_CONFIG = f"{ns.PUBSUB}#node_config"


@dataclass(frozen=True)
class Pair:
    """Juliet, and Romeo who is her contact (or not); both want tunes."""

    juliet: Client
    romeo: Client


@pytest.fixture
def pair(server: Server) -> Pair:
    one, other = server.account(), server.account()
    befriend(server, one, other)
    return Pair(Client(server, one, TUNE).online(), Client(server, other, TUNE).online())


@pytest.fixture
def juliet(server: Server) -> Client:
    return Client(server, server.account(), TUNE).online()


def owner(inner: str) -> str:
    return f"<pubsub xmlns='{ns.PUBSUB_OWNER}'>{inner}</pubsub>"


def pubsub(inner: str) -> str:
    return f"<pubsub xmlns='{ns.PUBSUB}'>{inner}</pubsub>"


def configured(
    node: str = TUNE, type_: str = "submit", form_type: str = f"{ns.PUBSUB}#node_config", **fields: str
) -> str:
    listed = "".join(f"<field var='pubsub#{name}'><value>{value}</value></field>" for name, value in fields.items())
    return owner(
        f"<configure node='{node}'><x xmlns='{ns.DATA_FORMS}' type='{type_}'>"
        f"<field var='FORM_TYPE' type='hidden'><value>{form_type}</value></field>{listed}</x></configure>"
    )


def done(phone: Client, payload: str, type_: str = "set", to: str | None = None) -> Element:
    """The result of a request, which must not be an error."""
    answer = ask(phone, payload, type=type_, to=to)
    assert "result" == answer.get("type"), tostring(answer)
    return answer


def refusal(phone: Client, payload: str, type_: str = "set", to: str | None = None) -> tuple[str, str]:
    """Condition and pubsub condition (with its feature) of the error."""
    answer = ask(phone, payload, type=type_, to=to)
    error = answer.find(stanza("error"))
    assert error is not None, tostring(answer)
    specific = [child for child in error if child.tag.startswith(f"{{{ns.PUBSUB_ERRORS}}}")]
    named = specific[0].tag.split("}")[1] if specific else ""
    feature = specific[0].get("feature", "") if specific else ""
    return error_of(answer), f"{named} {feature}".strip()


def test_what_the_account_says_of_itself(juliet: Client) -> None:
    query = info(juliet, juliet.account.jid)

    assert {"registered", "pep"} == {one.get("type") for one in query if one.tag.endswith("identity")}
    names = features(query)
    for name in ("access-presence", "auto-create", "auto-subscribe", "filtered-notifications", "publish-options",
                 "persistent-items", "config-node-max", "last-published", "multi-items"):  # fmt: skip
        assert f"{ns.PUBSUB}#{name}" in names
    assert ns.PUBSUB in names
    assert f"{ns.PUBSUB}#subscription-options" not in names


def test_publishing_is_answered_with_the_items_id_and_told(pair: Pair) -> None:
    answer = done(pair.juliet, publish(TUNE, TEXT, item=""))
    [item] = answer.iter(f"{{{ns.PUBSUB}}}item")

    for client in (pair.juliet, pair.romeo):
        event = client.event()
        assert (pair.juliet.account.jid, client.jid, "headline") == (
            event.get("from"), event.get("to"), event.get("type"),
        )  # fmt: skip
        assert TUNE == node_of(event)
        assert f'id="{item.get("id")}"' in text_of(event)
        assert f"{{{TUNE}}}tune" == event[0][0][0][0].tag


def test_a_payload_keeps_what_it_had_from_its_ancestors(juliet: Client) -> None:
    juliet.send(
        "<iq type='set' id='x' xmlns:t='urn:t'><pubsub xmlns='http://jabber.org/protocol/pubsub'>"
        "<publish node='n'><item id='1'><t:tune t:a='1'><b xmlns='urn:b'/></t:tune></item></publish></pubsub></iq>"
    )
    page = result(juliet, items("n"))

    payload = page[0][0][0]
    assert ("{urn:t}tune", {"{urn:t}a": "1"}, "{urn:b}b") == (payload.tag, payload.attrib, payload[0].tag)


def test_items_all_newest_some_and_page_by_page(juliet: Client) -> None:
    for number in range(5):
        done(juliet, publish("n", TEXT, item=f"i{number}", max_items="max"))

    assert ["i0", "i1", "i2", "i3", "i4"] == ids(result(juliet, items("n")))
    assert ["i3", "i4"] == ids(result(juliet, items("n", attributes=" max_items='2'")))
    assert ["i4", "i1"] == ids(result(juliet, items("n", "<item id='i4'/><item id='no'/><item id='i1'/>")))
    assert [] == ids(result(juliet, items("n", "<item id='no'/>")))
    page = result(juliet, items("n", after=f"<set xmlns='{ns.RSM}'><max>2</max></set>"))
    assert (["i0", "i1"], "i1", "5") == (
        ids(page), page[1].findtext(f"{{{ns.RSM}}}last"), page[1].findtext(f"{{{ns.RSM}}}count"),
    )  # fmt: skip
    page = result(juliet, items("n", after=f"<set xmlns='{ns.RSM}'><max>2</max><after>i1</after></set>"))
    assert ["i2", "i3"] == ids(page)
    page = result(juliet, items("n", after=f"<set xmlns='{ns.RSM}'><max>2</max><before/></set>"))
    assert ["i3", "i4"] == ids(page)


def test_options_are_applied_to_a_new_node_and_are_preconditions_of_an_old_one(juliet: Client) -> None:
    done(juliet, publish("n", TEXT, access_model="whitelist", persist_items="true", max_items="max"))

    done(juliet, publish("n", TEXT, item="2", access_model="whitelist", persist_items="1"))
    assert ("conflict", "precondition-not-met") == refusal(juliet, publish("n", TEXT, item="3", access_model="open"))
    assert ["current", "2"] == ids(result(juliet, items("n")))
    form = done(juliet, owner("<configure node='n'/>"), "get")
    shown = {
        one.get("var", ""): [value.text for value in one.findall(f"{{{ns.DATA_FORMS}}}value")]
        for one in form.iter(f"{{{ns.DATA_FORMS}}}field")
    }
    assert (["whitelist"], ["max"], ["1"]) == (
        shown["pubsub#access_model"], shown["pubsub#max_items"], shown["pubsub#persist_items"],
    )  # fmt: skip


def test_create_configure_purge_and_delete(juliet: Client) -> None:
    done(juliet, pubsub("<create node='n'/>"))
    instant = done(juliet, pubsub("<create/>"))[0][0].get("node")

    assert instant
    assert ("conflict", "") == refusal(juliet, pubsub("<create node='n'/>"))
    done(juliet, configured("n", title="Mine &amp; yours", max_items="3", access_model="open"))
    node = info(juliet, juliet.account.jid, "n")
    assert ["Mine & yours"] == [one.get("name") for one in node if one.tag.endswith("identity")]
    assert "open" in [value.text for value in node.iter(f"{{{ns.DATA_FORMS}}}value")]
    done(juliet, configured("n", "cancel", title="other"))
    done(juliet, publish("n", TEXT))
    done(juliet, owner("<purge node='n'/>"))
    assert [] == ids(result(juliet, items("n")))
    done(juliet, owner("<delete node='n'/>"))
    assert ("item-not-found", "") == refusal(juliet, items("n"), "get")


def test_creating_and_configuring_at_once(juliet: Client) -> None:
    form = configured("", access_model="whitelist").split("<configure node=''>")[1].split("</configure>")[0]
    done(juliet, pubsub(f"<create node='n'/><configure>{form}</configure>"))
    done(juliet, pubsub("<create node='m'/><configure/>"))

    assert ("bad-request", "") == refusal(juliet, pubsub(f"<create node='o'/><configure node='o'>{form}</configure>"))
    done(juliet, publish("n", TEXT, access_model="whitelist"))


def test_the_default_configuration_is_shown(juliet: Client) -> None:
    shown = tostring(done(juliet, owner("<default/>"), "get"), encoding="unicode")

    assert "presence" in shown
    assert "on_sub_and_presence" in shown


def test_retracting_with_and_without_a_notice(pair: Pair) -> None:
    for item in ("a", "b"):
        done(pair.juliet, publish(TUNE, TEXT, item=item, max_items="5"))
    pair.romeo.events()
    done(pair.juliet, pubsub(f"<retract node='{TUNE}'><item id='a'/></retract>"))
    done(pair.juliet, pubsub(f"<retract node='{TUNE}' notify='true'><item id='b'/></retract>"))

    [event] = pair.romeo.events()
    assert ("retract", "b") == (event[0][0][0].tag.split("}")[1], event[0][0][0].get("id"))


def test_a_contact_that_comes_online_gets_the_last_items_with_the_presence(server: Server) -> None:
    one, other = server.account(), server.account()
    befriend(server, one, other)
    juliet = Client(server, one).online()
    done(juliet, publish(TUNE, TEXT))
    first = Client(server, other, TUNE).online("first")
    again = Client(server, other, TUNE, same_as=first).online("again")  # nothing has to be asked this time

    for romeo in (first, again):
        [event] = romeo.events()
        assert (one.jid, romeo.jid) == (event.get("from"), event.get("to"))
        assert f"{{{ns.DELAY}}}delay" == event[1].tag


def test_an_own_device_that_comes_online_gets_the_last_items_once(server: Server) -> None:
    account = server.account()
    juliet = Client(server, account, TUNE).online()
    done(juliet, publish(TUNE, TEXT))
    laptop = Client(server, account, TUNE, same_as=juliet).online("laptop")

    assert 1 == len(laptop.events())
    laptop.presence()
    assert [] == laptop.events()


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
    answers = [
        tostring(ask(romeo, payload.replace("%s", romeo.account.jid), type=type_, to=to)).replace(to.encode(), b"")
        for to in (juliet.account.jid, "nobody@localhost")
    ]

    assert b"service-unavailable" in answers[0]
    assert [1] == sorted({answers[0].split(b"id=")[1][10:] == answers[1].split(b"id=")[1][10:]})


def test_who_is_blocked_is_answered_likewise(server: Server, pair: Pair) -> None:
    done(pair.juliet, publish(TUNE, TEXT, access_model="open"))
    block(server, pair.juliet.account, pair.romeo.account.jid)

    assert ("service-unavailable", "") == refusal(pair.romeo, items(TUNE), "get", pair.juliet.account.jid)


def test_the_servers_address_has_no_nodes(juliet: Client) -> None:
    assert ("service-unavailable", "") == refusal(juliet, items(TUNE), "get", "localhost")


LONG = "x" * 1100

BAD = {
    "publish without a node": ("set", pubsub("<publish><item/></publish>"), "bad-request", "nodeid-required"),
    "publish nothing": ("set", pubsub("<publish node='n'/>"), "bad-request", "item-required"),
    "publish an empty item": ("set", publish("n", ""), "bad-request", "payload-required"),
    "publish two payloads": ("set", publish("n", TEXT * 2), "bad-request", "invalid-payload"),
    "publish two items": ("set", publish("n", TEXT).replace("<item", "<item/><item"), "bad-request", "invalid-payload"),
    "publish something else": ("set", pubsub("<publish node='n'><entry/></publish>"), "bad-request", "invalid-payload"),
    "publish an item of another namespace": (
        "set", publish("n", TEXT).replace("<item", "<item xmlns='wrong'"), "bad-request", "invalid-payload"),
    "publish to a long name": ("set", publish(LONG, TEXT), "not-acceptable", ""),
    "publish a long id": ("set", publish("n", TEXT, item=LONG), "not-acceptable", ""),
    "publish a control character": ("set", publish("a&#10;b", TEXT).replace("&amp;#", "&#"), "not-acceptable", ""),
    "publish twice": ("set", pubsub("<publish node='n'/><publish node='n'/>"), "bad-request", ""),
    "publish with options twice": (
        "set", publish("n", TEXT).replace("</pubsub>", "<publish-options/><publish-options/></pubsub>"),
        "bad-request", ""),
    "options without a form": (
        "set", publish("n", TEXT).replace("</pubsub>", "<publish-options/></pubsub>"), "bad-request", ""),
    "options of another form": (
        "set", publish("n", TEXT, title="x").replace("#publish-options", "#node_config"), "bad-request", ""),
    "options in a form of type result": (
        "set", publish("n", TEXT, title="x").replace("type='submit'", "type='result'"), "bad-request", ""),
    "options that nobody knows": ("set", publish("n", TEXT, frobnicate="1"), "not-acceptable", ""),
    "options without effect": ("set", publish("n", TEXT, notify_sub="1"), "not-acceptable", ""),
    "an access model that is not there": (
        "set", publish("n", TEXT, access_model="authorize"), "not-acceptable", "unsupported-access-model"),
    "too many items": ("set", publish("n", TEXT, max_items="100000"), "not-acceptable", ""),
    "no items": ("set", publish("n", TEXT, max_items="0"), "not-acceptable", ""),
    "items in words": ("set", publish("n", TEXT, max_items="many"), "not-acceptable", ""),
    "a boolean in words": ("set", publish("n", TEXT, persist_items="yes"), "not-acceptable", ""),
    "a field twice": (
        "set", publish("n", TEXT, title="x").replace("</x>", "<field var='pubsub#title'/></x>"), "bad-request", ""),
    "publishing as somebody else": ("set", publish("n", TEXT, publish_model="open"), "not-acceptable", ""),
    "retract without a node": ("set", pubsub("<retract><item id='a'/></retract>"), "bad-request", "nodeid-required"),
    "retract nothing": ("set", pubsub("<retract node='n'/>"), "bad-request", "item-required"),
    "retract without an id": ("set", pubsub("<retract node='n'><item/></retract>"), "bad-request", "item-required"),
    "retract two": (
        "set", pubsub("<retract node='n'><item id='a'/><item id='b'/></retract>"), "bad-request", "item-required"),
    "retract with odd notice": (
        "set", pubsub("<retract node='n' notify='maybe'><item id='a'/></retract>"), "bad-request", ""),
    "retract from nowhere": ("set", pubsub("<retract node='n'><item id='a'/></retract>"), "item-not-found", ""),
    "items without a node": ("get", pubsub("<items/>"), "bad-request", "nodeid-required"),
    "items of nothing": ("get", items("n"), "item-not-found", ""),
    "items in words asked for": ("get", items(TUNE, attributes=" max_items='all'"), "bad-request", ""),
    "items less than none": ("get", items(TUNE, attributes=" max_items='-1'"), "bad-request", ""),
    "an item without an id": ("get", items(TUNE, "<item/>"), "bad-request", "item-required"),
    "something that is no item": ("get", items(TUNE, "<entry id='a'/>"), "bad-request", "item-required"),
    "a page after nothing": (
        "get", items(TUNE, after=f"<set xmlns='{ns.RSM}'><after>no</after></set>"), "item-not-found", ""),
    "a page by number": (
        "get", items(TUNE, after=f"<set xmlns='{ns.RSM}'><index>3</index></set>"),
        "feature-not-implemented", "unsupported rsm"),
    "two sets": ("get", items(TUNE, after=f"<set xmlns='{ns.RSM}'/>" * 2), "bad-request", ""),
    "a set in words": (
        "get", items(TUNE, after=f"<set xmlns='{ns.RSM}'><max>x</max></set>"), "bad-request", ""),
    "subscribe without a jid": (
        "set", pubsub(f"<subscribe node='{TUNE}'/>"), "bad-request", "jid-required"),
    "subscribe somebody else": (
        "set", pubsub(f"<subscribe node='{TUNE}' jid='a@localhost'/>"), "bad-request", "invalid-jid"),
    "subscribe nonsense": (
        "set", pubsub(f"<subscribe node='{TUNE}' jid='@'/>"), "bad-request", "invalid-jid"),
    "unsubscribe somebody else": (
        "set", pubsub(f"<unsubscribe node='{TUNE}' jid='a@localhost'/>"), "forbidden", ""),
    "subscription options": (
        "get", pubsub(f"<options node='{TUNE}'/>"), "feature-not-implemented", "unsupported subscription-options"),
    "configure without a node": ("set", configured(""), "bad-request", "nodeid-required"),
    "configure without a form": ("set", owner(f"<configure node='{TUNE}'/>"), "bad-request", ""),
    "configure what is not there": ("set", configured("n"), "item-not-found", ""),
    "configure with another form": ("set", configured(form_type="wrong"), "bad-request", ""),
    "configure what nobody knows": ("set", configured(frobnicate="1"), "not-acceptable", ""),
    "show what is not there": ("get", owner("<configure node='n'/>"), "item-not-found", ""),
    "delete without a node": ("set", owner("<delete/>"), "bad-request", "nodeid-required"),
    "delete what is not there": ("set", owner("<delete node='n'/>"), "item-not-found", ""),
    "purge what is not there": ("set", owner("<purge node='n'/>"), "item-not-found", ""),
    "affiliate nobody": (
        "set", owner(f"<affiliations node='{TUNE}'><affiliation affiliation='member'/></affiliations>"),
        "bad-request", "invalid-jid"),
    "affiliate as nothing": (
        "set", owner(f"<affiliations node='{TUNE}'><affiliation jid='a@b'/></affiliations>"), "bad-request", ""),
    "affiliate a publisher": (
        "set", owner(f"<affiliations node='{TUNE}'><affiliation jid='a@b' affiliation='publisher'/></affiliations>"),
        "feature-not-implemented", "unsupported publisher-affiliation"),
    "affiliate something": ("set", owner(f"<affiliations node='{TUNE}'><x/></affiliations>"), "bad-request", ""),
    "affiliations of what is not there": ("get", owner("<affiliations node='n'/>"), "item-not-found", ""),
    "manage subscriptions": (
        "get", owner(f"<subscriptions node='{TUNE}'/>"), "feature-not-implemented", "unsupported manage-subscriptions"),
    "nothing at all": ("set", pubsub(""), "bad-request", ""),
    "nothing of the owner's": ("get", owner(""), "bad-request", ""),
    "something that is not there": ("set", pubsub("<frobnicate node='n'/>"), "feature-not-implemented", ""),
    "a get as a set": ("set", items(TUNE), "feature-not-implemented", ""),
    "a set as a get": ("get", publish(TUNE, TEXT), "feature-not-implemented", ""),
    "an action of the other namespace": ("set", owner("<publish node='n'/>"), "feature-not-implemented", ""),
    "no pubsub namespace": ("set", "<pubsub xmlns='wrong'><create/></pubsub>", "service-unavailable", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def bad_account(server: Server) -> Account:
    return server.account()


@pytest.fixture
def patient(server: Server, bad_account: Account) -> Client:
    client = Client(server, bad_account).online()
    done(client, publish(TUNE, TEXT, item="kept"))
    return client


@pytest.mark.parametrize("what", BAD)
def test_bad_requests_change_nothing(patient: Client, what: str) -> None:
    type_, payload, condition, specific = BAD[what]

    answer = refusal(patient, payload, type_)

    assert condition == answer[0]
    assert specific in answer[1]
    assert ["kept"] == ids(result(patient, items(TUNE)))
    listed = result(patient, f"<query xmlns='{ns.DISCO_ITEMS}'/>", to=patient.account.jid)
    assert [TUNE] == [one.get("node") for one in listed if one.get("node")]


def test_what_is_too_big_is_refused(juliet: Client) -> None:
    done(juliet, publish("n", TEXT, max_payload_size="100"))

    assert ("not-acceptable", "payload-too-big") == refusal(juliet, publish("n", f"<a xmlns='b'>{'x' * 100}</a>"))
    assert ("not-acceptable", "") == refusal(juliet, publish("m", TEXT, max_payload_size="99999999"))


def test_one_node_too_many_is_refused(server: Server, juliet: Client) -> None:
    for number in range(250):
        juliet.send(f"<iq type='set' id='n{number}'>{pubsub(f'<create node={chr(39)}n{number}{chr(39)}/>')}</iq>")

    assert ("resource-constraint", "") == refusal(juliet, pubsub("<create node='one more'/>"))
    assert ("resource-constraint", "") == refusal(juliet, publish("one more", TEXT))


def test_a_phone_that_lost_its_link_gets_the_newest_of_each_item_when_it_resumes(server: Server) -> None:
    account = server.account()
    phone = Client(server, account, TUNE).online()
    laptop = Client(server, account).online("laptop")
    phone.events()
    phone.handled()
    phone.cut()
    server.wait(lambda: is_asleep(server, phone), "the server to notice")
    for title in ("one", "two", "three"):
        for item in ("a", "b"):
            done(laptop, publish(TUNE, f"<tune xmlns='{TUNE}'>{title}</tune>", item=item, max_items="max"))
    back = Client(server, account, TUNE, same_as=phone)
    back.resume(phone.session_id, phone.inbound)

    shown = sorted((event[0][0][0].get("id"), event[0][0][0][0].text) for event in back.events())
    assert [("a", "three"), ("b", "three")] == shown


def is_asleep(server: Server, client: Client) -> bool:
    """The client's only session hibernates."""
    at = keys.prefix(client.account.jid)
    with store_of(server) as store:
        sid = store.hget(keys.key(at, "resources", client.account.jid), "phone") or b""
        return bool(store.hget(keys.key(at, "session", sid.decode()), "state") == b"asleep")


def test_whoever_is_allowed_to_see_presence_gets_the_last_items_at_once(server: Server) -> None:
    owner = Client(server, server.account()).online()
    friend = Client(server, server.account(), TUNE).online()
    ask(owner, publish(TUNE, TEXT), type="set")
    friend.settle()
    before = friend.events()

    friend.send(f"<presence to='{owner.account.jid}' type='subscribe'/>")
    friend.settle()
    owner.send(f"<presence to='{friend.account.jid}' type='subscribed'/>")
    event = friend.event()

    assert ([], TUNE) == (before, node_of(event))
