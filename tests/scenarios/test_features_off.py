"""[features] off, on the wire: what is off is neither offered nor served, and everything else goes on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import pytest

from gateway.demo.stream import condition_of
from gateway.features import FEATURES
from gateway.features.selection import FeatureSettings
from gateway.hooks import Feature
from gateway.xmpp import ns
from tests.support.device_clients import device
from tests.support.iq import ask, error_of, features, info, refusal
from tests.support.phone import Phone, online, stanza
from tests.support.processes import DOMAIN, Server, running

ALL = frozenset(feature.name for feature in FEATURES)

SETS: dict[str, frozenset[str]] = {
    "all": ALL,
    "all but disco and ping": ALL - {"disco", "ping"},
    "carbons and archive": frozenset({"carbons", "mam", "mam-preferences"}),
    "client state, offline messages, eventing, blocking": frozenset(
        {
            "csi",
            "offline",
            "offline-retrieval",
            "pep",
            "caps",
            "avatar-conversion",
            "bookmarks-conversion",
            "displayed",
            "blocking",
        }
    ),
}


@dataclass
class House:
    """A server without some of the features."""

    server: Server
    off: frozenset[str]

    @cached_property
    def rest(self) -> tuple[Feature, ...]:
        return tuple(feature for feature in FEATURES if feature.name not in self.off)

    @property
    def left_out(self) -> list[Feature]:
        return [feature for feature in FEATURES if feature.name in self.off]

    def requests(self) -> list[tuple[str, str, str]]:
        """(get or set, namespace, name) of what nobody serves any more."""
        served = {("get", *name) for one in self.rest for name in one.iq_get}
        served |= {("set", *name) for one in self.rest for name in one.iq_set}
        gone = {("get", *name) for one in self.left_out for name in one.iq_get}
        return sorted((gone | {("set", *name) for one in self.left_out for name in one.iq_set}) - served)

    def phone(self, resource: str = "phone") -> Phone:
        return Phone(self.server, self.server.account()).bind(resource)

    def sync(self, phone: Phone) -> None:
        """The server has done what was sent so far, whether it knows pings or not."""
        ask(phone, f"<ping xmlns='{ns.PING}'/>", to=DOMAIN)


@pytest.fixture(scope="module", params=list(SETS))
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    off = SETS[request.param]
    with running(tmp_path_factory.mktemp("off"), settings={"features": {"off": sorted(off)}}) as server:
        server.stock_accounts(12)
        yield House(server, off)


@pytest.mark.parametrize("name", list(SETS))
def test_these_sets_are_sound(name: str) -> None:
    assert [] == list(FeatureSettings(off=sorted(SETS[name])).faults())


def test_it_is_not_discovered(house: House) -> None:
    phone = house.phone()
    if "disco" in house.off:
        assert "service-unavailable" == refusal(phone, f"<query xmlns='{ns.DISCO_INFO}'/>", to=DOMAIN)
        return
    for to, declared in ((DOMAIN, "disco"), (phone.account.jid, "account_disco")):
        on = {name for feature in house.rest for name in getattr(feature, declared)}
        off = {name for feature in house.left_out for name in getattr(feature, declared)} - on
        assert set() == off & features(info(phone, to))
        assert on <= features(info(phone, to))


def test_it_is_not_offered_with_the_stream(house: House) -> None:
    offered = {child.tag for child in house.phone().features}
    for feature in FEATURES:
        if feature.stream_features:
            tag = feature.stream_features.split("'")
            name = f"{{{tag[1]}}}{tag[0].split()[0].lstrip('<')}"
            assert (feature.name in house.off) == (name not in offered), name
    assert ("roster" in house.off) == (f"{{{ns.ROSTER_VERSIONING}}}ver" not in offered)
    assert ("server-caps" in house.off) == (f"{{{ns.CAPS}}}c" not in offered)


def test_its_requests_get_service_unavailable(house: House) -> None:
    phone, other = house.phone(), house.server.account()
    asked = house.requests()

    for type_, namespace, name in asked:
        for to in (None, DOMAIN, phone.account.jid, other.jid):
            answer = ask(phone, f"<{name} xmlns='{namespace}'/>", to=to, type=type_)
            assert "service-unavailable" == error_of(answer), (type_, namespace, name, to)


def test_its_elements_end_the_stream(house: House) -> None:
    for feature in house.left_out:
        for namespace, name in feature.nonzas:
            phone = house.phone()
            phone.send(f"<{name} xmlns='{namespace}'/>")
            assert "unsupported-stanza-type" == condition_of(phone.stream_error())


def test_messages_flow_live_and_over_a_resumption(house: House) -> None:
    romeo = house.phone("garden")
    romeo.send("<presence/>")
    juliet = house.phone()
    juliet.enable()
    juliet.send("<presence/>")
    house.sync(juliet)
    romeo.message(juliet.jid, "to a device")
    romeo.message(juliet.account.jid, "to the account")
    assert ["to a device", "to the account"] == juliet.bodies(2)

    juliet.ack()
    juliet.cut()
    romeo.message(juliet.account.jid, "later")
    house.sync(romeo)
    again = Phone(house.server, juliet.account)
    again.resume(juliet.session_id, juliet.inbound)
    assert ["later"] == again.bodies(1)
    again.message(romeo.jid, "back")
    assert ["back"] == romeo.bodies(1)


def test_what_nobody_is_there_for_waits_or_is_archived_or_goes_back(house: House) -> None:
    romeo, account = house.phone(), house.server.account()
    romeo.message(account.jid, "hello", "m1")
    is_refused = {"offline", "mam"} <= house.off
    if is_refused:
        assert "service-unavailable" == error_of(romeo.skip_to(stanza("message")))
    romeo.send(f"<message to='{account.jid}' type='chat'><composing xmlns='{ns.CHATSTATES}'/></message>")
    romeo.send("<iq type='get' id='fence'><fence xmlns='urn:x'/></iq>")

    assert "fence" == romeo.skip_to(stanza("iq")).get("id")
    juliet = Phone(house.server, account).bind()
    juliet.send("<presence/>")
    juliet.message(juliet.jid, "fence")
    assert (["fence"] if "offline" in house.off else ["hello"]) == juliet.bodies(1)


def test_subscriptions_are_refused_where_there_are_no_rosters(house: House) -> None:
    romeo, juliet = house.phone(), house.phone()
    juliet.send("<presence/>")
    house.sync(juliet)
    romeo.send(f"<presence type='subscribe' to='{juliet.account.jid}' id='s'/>")
    if "presence" in house.off:
        assert "service-unavailable" == error_of(romeo.skip_to(stanza("presence")))
    else:
        house.sync(romeo)
        assert "subscribe" == juliet.skip_to(stanza("presence")).get("type")


def test_own_devices_see_each_other_all_the_same(house: House) -> None:
    phone = house.phone()
    phone.send("<presence/>")
    tablet = Phone(house.server, phone.account).bind("tablet")
    tablet.send("<presence><status>here</status></presence>")

    while (seen := phone.skip_to(stanza("presence"))).get("from") != tablet.jid:
        pass
    assert "here" == seen.findtext(stanza("status"))


def test_slixmpp_logs_in_and_talks(house: House) -> None:
    romeo, juliet = house.server.account(), house.server.account()
    with (
        device("slixmpp_devices", house.server, romeo) as one,
        device("slixmpp_devices", house.server, juliet) as other,
    ):
        one.tell("say", number=0, to=other.jid, body="wherefore")

        assert "wherefore" == other.wait("message")["body"]


def test_sessions_of_before_go_on_without_what_was_switched_off(tmp_path_factory: pytest.TempPathFactory) -> None:
    directory = tmp_path_factory.mktemp("before")
    with running(directory) as server:
        phone = online(server, server.account())
        server.stock_accounts(3)
        ask(phone, f"<enable xmlns='{ns.CARBONS}'/>", type="set")
        ask(phone, f"<block xmlns='{ns.BLOCKING}'><item jid='x.example'/></block>", type="set")
        phone.send(f"<inactive xmlns='{ns.CSI}'/>")
        phone.ack()
        house = House(server, frozenset())
        house.sync(phone)
        phone.cut()
    without = running(directory, settings={"features": {"off": sorted(ALL - {"ping"})}})
    with without as server:
        again = Phone(server, phone.account)
        resumed = again.resume(phone.session_id, phone.inbound)
        assert resumed.tag.endswith("}resumed"), resumed.tag
        romeo = Phone(server, server.add_accounts(1)[0]).bind("garden")
        romeo.message(phone.account.jid, "hello")
        assert ["hello"] == again.bodies(1)
