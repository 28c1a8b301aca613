"""XEP-0077: making an account, changing its password, removing it."""

from collections.abc import Iterator
from itertools import count
from xml.etree.ElementTree import Element

import pytest

from gateway.demo.stream import ClientStream, Unexpected, condition_of
from gateway.xmpp import ns
from tests.support.adhoc import ask, error_of
from tests.support.phone import Phone, online
from tests.support.processes import PASSWORD, Account, Server, running
from tests.support.strangers import close_strangers, offered, register, say, stranger

names = (f"guest{number}" for number in count(1))


@pytest.fixture(scope="module")
def open_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that lets anybody register, with rules."""
    rules = {"open": True, "tries_per_address": 1000, "tries": 1000, "blocked_names": ["root"], "invites": "nobody"}
    with running(tmp_path_factory.mktemp("registration"), settings={"registration": rules}) as server:
        server.stock_accounts(15)
        yield server


@pytest.fixture(autouse=True)
def _no_stranger_stays() -> Iterator[None]:
    yield
    close_strangers()


def set_password(phone: Phone, password: str, name: str | None = None, *, to: str = "localhost") -> Element:
    name = phone.account.name if name is None else name
    inner = f"<username>{name}</username><password>{password}</password>"
    return ask(phone, "set", f"<query xmlns='{ns.REGISTER}'>{inner}</query>", to=to)


# Making an account


def test_it_is_off_by_default(server: Server) -> None:
    stream = stranger(server)

    assert f"{{{ns.REGISTER_FEATURE}}}register" in offered(stream)  # for those who are invited
    assert ("not-allowed", "") == error_of(say(stream, "get"))
    assert ("not-allowed", "") == error_of(register(stream, "uninvited"))
    assert "uninvited" not in server.command("user", "list")


def test_an_account_is_made_and_used(open_server: Server) -> None:
    stream, name = stranger(open_server), next(names)

    assert {f"{{{ns.REGISTER_FEATURE}}}register"} == offered(stream)
    fields = say(stream, "get")
    asked = {one.tag for one in fields.iter() if one.tag.startswith(f"{{{ns.REGISTER}}}")}
    assert {f"{{{ns.REGISTER}}}{name}" for name in ("query", "instructions", "username", "password")} == asked
    answer = register(stream, name.upper())
    assert ("result", "r") == (answer.get("type"), answer.get("id"))
    stream.authenticate(name, PASSWORD)
    assert online(open_server, Account(name)).jid


def test_one_stream_makes_one_account(open_server: Server) -> None:
    stream = stranger(open_server)
    register(stream, next(names))

    assert ("not-acceptable", "") == error_of(register(stream, next(names)))


def test_a_taken_name_is_a_conflict_and_the_account_stays_as_it_was(open_server: Server) -> None:
    account = open_server.account()

    assert ("conflict", "") == error_of(register(stranger(open_server), account.name, "another password"))
    assert Phone(open_server, account)


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<username>x</username>",
        "<password>long enough</password>",
        "<username/><password>long enough</password>",
        "<username>x</username><password/>",
        "<username>x</username><password>short</password>",
        f"<username>x</username><password>{'p' * 1025}</password>",
        "<username>root</username><password>long enough</password>",
        "<username>ROOT</username><password>long enough</password>",
        "<username>a@b</username><password>long enough</password>",
        "<username>a/b</username><password>long enough</password>",
        "<username>a b</username><password>long enough</password>",
        "<username>&#x265A;</username><password>long enough</password>",
        f"<username>{'n' * 1024}</username><password>long enough</password>",
        "<username>a</username><username>b</username><password>long enough</password>",
        "<username>a</username><password>long &#x200E;enough&#x7;</password>",
        "<username>a</username><password><b>long enough</b></password>",
        "<username xmlns='other'>a</username><password>long enough</password>",
    ],
)
def test_what_is_not_acceptable_is_refused(open_server: Server, inner: str) -> None:
    before = open_server.command("user", "list")
    stream = stranger(open_server)
    if "&#x7;" in inner:
        inner = inner.replace("&#x7;", "")
    answer = say(stream, "set", inner)

    if "&#x200E;" not in inner:
        assert ("not-acceptable", "") == error_of(answer)
        assert before == open_server.command("user", "list")


def test_too_many_wrong_tries_end_the_stream(open_server: Server) -> None:
    stream = stranger(open_server)
    for _ in range(5):
        assert ("not-acceptable", "") == error_of(register(stream, "root"))

    assert "policy-violation" == condition_of(stream.receive())


def test_nothing_but_registration_is_served_before_authentication(open_server: Server) -> None:
    stream = stranger(open_server)
    stream.send(f"<iq type='get' id='1' to='localhost'><ping xmlns='{ns.PING}'/></iq>")

    assert "not-authorized" == condition_of(stream.receive())


def test_it_is_not_offered_without_tls(open_server: Server) -> None:
    address = open_server.address()
    stream = ClientStream(type(address)(address.host, address.port, tls="none"))
    stream.connect()
    stream.send(f"<iq type='get' id='1'><query xmlns='{ns.REGISTER}'/></iq>")
    refusal = condition_of(stream.receive())
    stream.cut()

    assert set() == offered(stream)
    assert "not-authorized" == refusal


def test_one_address_may_try_so_often(tmp_path: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    rules = {"open": True, "tries_per_address": 2}
    with running(tmp_path_factory.mktemp("limited"), settings={"registration": rules}) as server:
        made = [error_of(register(stranger(server), next(names)))[0] for _ in range(4)]

        assert ["", "", "resource-constraint", "resource-constraint"] == made


# The own account


def test_who_has_an_account_is_told_so(open_server: Server) -> None:
    account = open_server.account()
    phone = online(open_server, account)
    query = ask(phone, "get", f"<query xmlns='{ns.REGISTER}'/>")

    assert query.find(f"{{{ns.REGISTER}}}query/{{{ns.REGISTER}}}registered") is not None
    assert account.name == query.findtext(f"{{{ns.REGISTER}}}query/{{{ns.REGISTER}}}username")
    info = ask(phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>")
    assert ns.REGISTER in {one.get("var") for one in info.iter(f"{{{ns.DISCO_INFO}}}feature")}


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-1", "SCRAM-SHA-256", "PLAIN"])
def test_a_password_is_changed_for_every_mechanism(open_server: Server, mechanism: str) -> None:
    account = open_server.account()
    phone = online(open_server, account)

    assert "result" == set_password(phone, "something else").get("type")
    phone.round_trip()
    stream = stranger(open_server)
    stream.authenticate(account.name, "something else", mechanism=mechanism)
    with pytest.raises(Unexpected, match="not-authorized"):
        stranger(open_server).authenticate(account.name, PASSWORD, mechanism=mechanism)


def test_a_changed_password_ends_the_other_sessions(open_server: Server) -> None:
    account = open_server.account()
    phone, tablet = online(open_server, account), online(open_server, account, "tablet")

    assert "result" == set_password(phone, "something else").get("type")
    assert "not-authorized" == condition_of(tablet.stream_error())
    phone.round_trip()


def test_a_bound_user_registers_nobody_else(open_server: Server) -> None:
    account, other = open_server.account(), open_server.account()
    phone = online(open_server, account)

    assert ("not-acceptable", "") == error_of(set_password(phone, "something else", other.name))
    assert ("not-acceptable", "") == error_of(set_password(phone, "something else", "somebody-new"))
    assert ("service-unavailable", "") == error_of(set_password(phone, "something else", to=other.jid))
    assert ("service-unavailable", "") == error_of(set_password(phone, "something else", to="push.localhost"))
    assert Phone(open_server, other)
    assert "somebody-new" not in open_server.command("user", "list")


@pytest.mark.parametrize(
    ("inner", "condition"),
    [
        ("", "bad-request"),
        ("<username>NAME</username>", "bad-request"),
        ("<password>long enough</password>", "bad-request"),
        ("<username>NAME</username><password/>", "bad-request"),
        ("<username>NAME</username><password>short</password>", "not-acceptable"),
        ("<username>NAME</username><password>long enough</password><password>two</password>", "bad-request"),
        ("<remove/><username>NAME</username>", "bad-request"),
        ("<remove/><remove/>", "bad-request"),
    ],
)
def test_what_cannot_be_done_is_told_and_changes_nothing(open_server: Server, inner: str, condition: str) -> None:
    account = open_server.account()
    phone = online(open_server, account)
    answer = ask(phone, "set", f"<query xmlns='{ns.REGISTER}'>{inner.replace('NAME', account.name)}</query>")

    assert (condition, "") == error_of(answer)
    assert "long enough" not in "".join(answer.itertext())
    assert Phone(open_server, account)


@pytest.mark.parametrize("to", ["", "localhost"])
def test_an_account_is_removed_and_all_its_sessions_closed(open_server: Server, to: str) -> None:
    account = open_server.account()
    phone, tablet = online(open_server, account), online(open_server, account, "tablet")
    answer = ask(phone, "set", f"<query xmlns='{ns.REGISTER}'><remove/></query>", to=to)

    assert "result" == answer.get("type")
    assert "not-authorized" == condition_of(phone.stream_error())
    assert "not-authorized" == condition_of(tablet.stream_error())
    with pytest.raises(Unexpected, match="not-authorized"):
        Phone(open_server, account)
    assert account.jid not in open_server.command("user", "list").split()
    stream = stranger(open_server)
    assert "result" == register(stream, account.name).get("type")


def test_the_policy_may_forbid_it(tmp_path_factory: pytest.TempPathFactory) -> None:
    rules = {"password_change": False, "removal": False, "invites": "nobody"}
    with running(tmp_path_factory.mktemp("closed"), settings={"registration": rules}) as server:
        account = server.account()
        phone = online(server, account)

        assert ("not-allowed", "") == error_of(set_password(phone, "something else"))
        removal = ask(phone, "set", f"<query xmlns='{ns.REGISTER}'><remove/></query>")
        assert ("not-allowed", "") == error_of(removal)
        assert set() == offered(stranger(server))
        stream = stranger(server)
        stream.send(f"<iq type='get' id='1'><query xmlns='{ns.REGISTER}'/></iq>")
        assert "not-authorized" == condition_of(stream.receive())
        with pytest.raises(AssertionError, match="switched off"):
            server.command("user", "invite")


def test_features_that_are_off_leave_nothing(tmp_path_factory: pytest.TempPathFactory) -> None:
    off = ["registration", "invites", "commands", "administration", "user-reports"]
    settings = {
        "features": {"off": off},
        "registration": {"open": True},
        "administration": {"admins": ["user1@localhost"]},
    }
    with running(tmp_path_factory.mktemp("off"), settings=settings) as server:
        account = server.account()
        phone = online(server, account)
        info = ask(phone, "get", f"<query xmlns='{ns.DISCO_INFO}'/>")
        known = {one.get("var") for one in info.iter(f"{{{ns.DISCO_INFO}}}feature")}

        assert set() == known & {ns.REGISTER, ns.COMMANDS}
        assert ("service-unavailable", "") == error_of(set_password(phone, "something else"))
        request = f"<command xmlns='{ns.COMMANDS}' node='http://jabber.org/protocol/admin#get-online-users-num'/>"
        assert ("service-unavailable", "") == error_of(ask(phone, "set", request))
        items = ask(phone, "get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>")
        assert ("item-not-found", "") == error_of(items)
        stream = stranger(server)
        assert set() == offered(stream)
        stream.send(f"<iq type='get' id='1'><query xmlns='{ns.REGISTER}'/></iq>")
        assert "not-authorized" == condition_of(stream.receive())
