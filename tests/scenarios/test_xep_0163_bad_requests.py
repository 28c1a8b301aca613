"""XEP-0163 on the wire: bad requests get their error and change nothing."""

import pytest

from gateway.xmpp import ns
from tests.scenarios.nodes import TEXT, TUNE, a_client, configured, done, owner, pubsub, refusal
from tests.support.eventing import Client, ids, items, publish
from tests.support.iq import result
from tests.support.processes import Account, Server


@pytest.fixture
def juliet(server: Server) -> Client:
    return a_client(server)


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
