"""XEP-0313 and XEP-0441 on the wire."""

from __future__ import annotations

import pytest

from gateway.xmpp import ns
from tests.scenarios.archive_talk import a_juliet, a_romeo, bare, numbered, say
from tests.support.archive import FORWARDED, MAM, ask, collect, form, rsm
from tests.support.iq import below
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Account, Server


@pytest.fixture
def romeo(server: Server) -> Phone:
    return a_romeo(server)


@pytest.fixture
def juliet(server: Server) -> Phone:
    return a_juliet(server)


@pytest.fixture
def chat(romeo: Phone, juliet: Phone) -> tuple[Phone, Phone]:
    """Ten messages from romeo to juliet, read by her."""
    say(romeo, bare(juliet), 0, 10)
    juliet.bodies(10)
    juliet.ack()
    return romeo, juliet


def test_both_parties_find_the_messages_in_their_archives(chat: tuple[Phone, Phone]) -> None:
    for phone in chat:
        answer = ask(phone, attributes=" queryid='f27'")

        assert numbered(0, 10) == answer.bodies
        assert answer.is_complete
        assert ["f27"] * 10 == [below(one, f"{MAM}result").get("queryid") for one in answer.results]
        assert (answer.ids[0], answer.ids[-1], "10") == (answer.rsm("first"), answer.rsm("last"), answer.rsm("count"))


def test_a_result_is_as_the_standard_has_it(chat: tuple[Phone, Phone]) -> None:
    romeo, juliet = chat
    first = ask(juliet).results[0]
    forwarded = first.find(FORWARDED)
    assert forwarded is not None
    original = forwarded.find(stanza("message"))
    delay = forwarded.find(f"{{{ns.DELAY}}}delay")

    assert original is not None and delay is not None
    assert (juliet.jid, bare(juliet)) == (first.get("to"), first.get("from"))
    assert (romeo.jid, bare(juliet), "chat", "id0") == tuple(original.get(a) for a in ("from", "to", "type", "id"))
    assert (delay.get("stamp") or "").endswith("Z")


def test_a_live_message_carries_its_archive_id(romeo: Phone, juliet: Phone) -> None:
    romeo.message(bare(juliet), "m0")
    live = juliet.skip_to(stanza("message"), stanza("presence"))
    given = live.find(f"{{{ns.STANZA_ID}}}stanza-id")

    assert given is not None
    assert [given.get("id")] == ask(juliet).ids
    assert bare(juliet) == given.get("by")


def test_pages_forwards_and_backwards_meet(chat: tuple[Phone, Phone]) -> None:
    _, juliet = chat
    found: list[str] = []
    page = ask(juliet, rsm("<max>4</max>"))
    assert not page.is_complete
    while True:
        found += page.bodies
        if page.is_complete:
            break
        page = ask(juliet, rsm(f"<max>4</max><after>{page.rsm('last')}</after>"))
    assert numbered(0, 10) == found

    found = []
    page = ask(juliet, rsm("<max>4</max><before/>"))
    assert numbered(6, 10) == page.bodies
    while True:
        found = page.bodies + found
        if page.is_complete:
            break
        page = ask(juliet, rsm(f"<max>4</max><before>{page.rsm('first')}</before>"))
    assert numbered(0, 10) == found


def test_a_page_that_fits_exactly_is_complete(chat: tuple[Phone, Phone]) -> None:
    _, juliet = chat

    assert ask(juliet, rsm("<max>10</max>")).is_complete
    assert ask(juliet, rsm("<max>10</max><before/>")).is_complete
    assert not ask(juliet, rsm("<max>9</max>")).is_complete


def test_filters_by_time_and_by_ids(chat: tuple[Phone, Phone]) -> None:
    _, juliet = chat
    everything = ask(juliet)
    ids = everything.ids
    stamps = [below(one, f"{FORWARDED}/{{{ns.DELAY}}}delay").get("stamp") for one in everything.results]
    start, end = str(stamps[3]), str(stamps[6])
    between = [n for n, stamp in enumerate(stamps) if start <= str(stamp) <= end]

    assert [f"m{n}" for n in between] == ask(juliet, form(start=start, end=end)).bodies
    assert [] == ask(juliet, form(start="2100-01-01T00:00:00Z")).bodies
    assert numbered(3, 6) == ask(juliet, form(after_id=ids[2], before_id=ids[6])).bodies
    assert ["m1", "m8"] == ask(juliet, form(ids=[ids[8], ids[1]])).bodies
    assert numbered(3, 5) == ask(juliet, form(after_id=ids[2]) + rsm("<max>2</max>")).bodies
    assert numbered(4, 6) == ask(juliet, form(before_id=ids[6]) + rsm("<max>2</max><before/>")).bodies


def test_filters_by_the_other_party(server: Server, chat: tuple[Phone, Phone]) -> None:
    romeo, juliet = chat
    nurse = online(server, server.account(), "house")
    nurse.message(bare(juliet), "nurse")
    nurse.handled()
    juliet.bodies(1)
    juliet.message(romeo.jid, "to romeo")
    juliet.message(bare(juliet), "to myself")
    juliet.bodies(1)

    assert [*numbered(0, 10), "to romeo"] == ask(juliet, form(**{"with": bare(romeo)})).bodies
    assert [*numbered(0, 10), "to romeo"] == ask(juliet, form(**{"with": romeo.jid})).bodies
    assert ["nurse"] == ask(juliet, form(**{"with": bare(nurse)})).bodies
    assert ["to myself"] == ask(juliet, form(**{"with": bare(juliet)})).bodies
    assert [] == ask(juliet, form(**{"with": "stranger@localhost"})).bodies


def test_a_flipped_page_is_the_same_page_the_other_way_round(chat: tuple[Phone, Phone]) -> None:
    _, juliet = chat
    answer = ask(juliet, rsm("<max>4</max>") + "<flip-page/>")

    assert numbered(0, 4)[::-1] == answer.bodies
    assert (answer.ids[-1], answer.ids[0]) == (answer.rsm("first"), answer.rsm("last"))


def test_max_zero_counts(chat: tuple[Phone, Phone]) -> None:
    romeo, juliet = chat
    answer = ask(juliet, form(**{"with": bare(romeo)}) + rsm("<max>0</max>"))

    assert ([], "10", None, False) == (answer.bodies, answer.rsm("count"), answer.rsm("first"), answer.is_complete)


def test_metadata_tells_the_ends(chat: tuple[Phone, Phone], server: Server) -> None:
    _, juliet = chat
    ids = ask(juliet).ids
    juliet.send(f"<iq type='get' id='meta'><metadata xmlns='{ns.MAM}'/></iq>")
    found = collect(juliet, "meta").iq.find(f"{MAM}metadata")

    assert found is not None
    assert [(f"{MAM}start", ids[0]), (f"{MAM}end", ids[-1])] == [(one.tag, one.get("id")) for one in found]

    nobody = online(server, server.account())
    nobody.send(f"<iq type='get' id='meta'><metadata xmlns='{ns.MAM}'/></iq>")
    empty = collect(nobody, "meta").iq.find(f"{MAM}metadata")
    assert empty is not None
    assert [] == list(empty)


def test_an_empty_archive_gives_a_complete_page(server: Server) -> None:
    phone = online(server, server.account())
    answer = ask(phone)

    assert ([], True, None) == (answer.ids, answer.is_complete, answer.rsm("first"))


def test_the_form_lists_the_fields(juliet: Phone) -> None:
    answer = ask(juliet, iq_type="get")
    fields = [one.get("var") for one in answer.iq.iter(f"{{{ns.DATA_FORMS}}}field")]

    assert {"FORM_TYPE", "with", "start", "end", "before-id", "after-id", "ids", "include-groupchat"} == set(fields)


def test_the_account_says_what_it_can(juliet: Phone) -> None:
    juliet.send(f"<iq type='get' id='d' to='{bare(juliet)}'><query xmlns='{ns.DISCO_INFO}'/></iq>")
    features = {one.get("var") for one in collect(juliet, "d").iq.iter(f"{{{ns.DISCO_INFO}}}feature")}

    assert {ns.MAM, f"{ns.MAM}#extended", f"{ns.MAM}#groupchat-field"} <= features


OTHERS = "1700000000000-0"


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        (rsm(f"<after>{OTHERS}</after>"), "item-not-found"),
        (rsm(f"<before>{OTHERS}</before>"), "item-not-found"),
        (rsm("<after>never mind</after>"), "item-not-found"),
        (rsm(f"<after>{'9' * 5000}-1</after>"), "item-not-found"),
        (form(after_id=OTHERS), "item-not-found"),
        (form(before_id="x"), "item-not-found"),
        (form(ids=[OTHERS]), "item-not-found"),
        (form(ids=[f"17000000000{n:03}-0" for n in range(300)]), "not-acceptable"),
        (form(ids=["1-1048576"]), "item-not-found"),
        (rsm("<max>-1</max>"), "bad-request"),
        (rsm("<max>many</max>"), "bad-request"),
        (rsm("<max>1</max><max>2</max>"), "bad-request"),
        (rsm("<max>1</max>") * 2, "bad-request"),
        (rsm("<index>3</index>"), "feature-not-implemented"),
        (form(start="yesterday"), "bad-request"),
        (form(end="2010-02-30T00:00:00Z"), "bad-request"),
        (form(start="2010-01-01T00:00:00"), "bad-request"),
        (form(start=["2010-01-01T00:00:00Z", "2011-01-01T00:00:00Z"]), "bad-request"),
        (form(**{"with": "@@"}), "jid-malformed"),
        (form(**{"with": ["a@localhost", "b@localhost"]}), "bad-request"),
        (form(mood="lonely"), "feature-not-implemented"),
        (form(include_groupchat="maybe"), "bad-request"),
        (form() * 2, "bad-request"),
        (form().replace("submit", "cancel"), "bad-request"),
        (form().replace(ns.MAM, "urn:xmpp:mam:1"), "bad-request"),
        (f"<x xmlns='{ns.DATA_FORMS}' type='submit'/>", "bad-request"),
        (f"<x xmlns='{ns.DATA_FORMS}'/>", "bad-request"),
        (form() + form(), "bad-request"),
    ],
)
def test_bad_queries_are_refused(juliet: Phone, inner: str, condition: str) -> None:
    answer = ask(juliet, inner)

    assert (condition, []) == (answer.condition, answer.results)


@pytest.mark.parametrize(
    ("attributes", "condition"), [(" node='x'", "item-not-found"), (f" queryid='{'x' * 2000}'", "not-acceptable")]
)
def test_bad_attributes_are_refused(juliet: Phone, attributes: str, condition: str) -> None:
    assert condition == ask(juliet, attributes=attributes).condition


def test_nobody_reads_anothers_archive(chat: tuple[Phone, Phone], server: Server) -> None:
    _, juliet = chat
    thief = online(server, server.account())
    refused = [ask(thief, to=to) for to in (bare(juliet), "nobody@localhost", "localhost")]

    assert ["service-unavailable"] * 3 == [answer.condition for answer in refused]
    assert [[], [], []] == [answer.results for answer in refused]
    for name in ("metadata", "prefs"):
        thief.send(f"<iq type='get' id='{name}' to='{bare(juliet)}'><{name} xmlns='{ns.MAM}'/></iq>")
        assert "service-unavailable" == collect(thief, name).condition


def test_results_are_numbered_with_everything_else_and_survive_a_cut(chat: tuple[Phone, Phone], server: Server) -> None:
    _, juliet = chat
    juliet.send(f"<iq type='set' id='lost'><query xmlns='{ns.MAM}'/></iq>")
    first = juliet.next()
    h = juliet.inbound
    juliet.cut()
    again = Phone(server, juliet.account)
    again.resume(juliet.session_id, h)
    answer = collect(again, "lost")

    assert stanza("message") == first.tag
    assert numbered(1, 10) == answer.bodies


def test_a_client_that_caught_up_gets_no_offline_flood(server: Server, romeo: Phone) -> None:
    account: Account = server.account()
    say(romeo, account.jid, 0, 60)
    phone = Phone(server, account).bind()
    phone.enable()
    page = ask(phone)
    while not page.is_complete:
        page = ask(phone, rsm(f"<after>{page.rsm('last')}</after>"))
    phone.send("<presence/>")
    romeo.message(account.jid, "live")

    assert ["live"] == phone.bodies(1)


def test_a_client_that_saw_only_the_newest_gets_what_it_did_not_see(server: Server, romeo: Phone) -> None:
    account = server.account()
    say(romeo, account.jid, 0, 20)
    phone = Phone(server, account).bind()
    phone.enable()
    ask(phone, rsm("<max>1</max><before/>"))
    phone.send("<presence/>")
    romeo.message(account.jid, "live")

    assert [*numbered(0, 19), "live"] == phone.bodies(20)


def test_a_client_that_went_back_page_by_page_gets_no_flood(server: Server, romeo: Phone) -> None:
    account = server.account()
    say(romeo, account.jid, 0, 20)
    phone = Phone(server, account).bind()
    phone.enable()
    page = ask(phone, rsm("<max>8</max><before/>"))
    while not page.is_complete:
        page = ask(phone, rsm(f"<max>8</max><before>{page.rsm('first')}</before>"))
    phone.send("<presence/>")
    romeo.message(account.jid, "live")

    assert ["live"] == phone.bodies(1)
