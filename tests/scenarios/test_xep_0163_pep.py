"""XEP-0163 and XEP-0060 on the wire: what each request is answered, good and bad, to oneself and to others."""

from xml.etree.ElementTree import tostring

import pytest

from gateway.mailbox import keys
from gateway.xmpp import ns
from tests.scenarios.nodes import TEXT, TUNE, Pair, a_client, a_pair, configured, done, owner, pubsub, refusal
from tests.support.eventing import Client, befriend, ids, items, node_of, publish, text_of
from tests.support.iq import ask, features, info, result, store_of
from tests.support.processes import Server


@pytest.fixture
def pair(server: Server) -> Pair:
    return a_pair(server)


@pytest.fixture
def juliet(server: Server) -> Client:
    return a_client(server)


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
