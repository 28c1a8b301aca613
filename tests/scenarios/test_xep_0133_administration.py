"""XEP-0133: an admin's commands, and that nobody else has them."""

from collections.abc import Iterator

import pytest

from gateway.demo.stream import Unexpected, condition_of
from gateway.xmpp import ns
from tests.support.adhoc import ask, command, error_of, form, notes, run, status, values
from tests.support.phone import Phone, online, stanza
from tests.support.processes import Account, Server, running

ADMIN = "http://jabber.org/protocol/admin#"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with the admin user1@localhost."""
    settings = {"administration": {"admins": ["user1@localhost"]}}
    with running(tmp_path_factory.mktemp("administration"), settings=settings) as server:
        server.stock_accounts(30)
        yield server


@pytest.fixture(scope="module")
def admin(guarded: Server) -> Account:
    account = guarded.account()

    assert "user1" == account.name
    return account


def listed(phone: Phone) -> list[str]:
    answer = ask(phone, "get", f"<query xmlns='{ns.DISCO_ITEMS}' node='{ns.COMMANDS}'/>")
    return [item.get("node", "") for item in answer.iter(f"{{{ns.DISCO_ITEMS}}}item")]


def first_bodies(server: Server, account: Account) -> list[str]:
    """What waits for an account that logs in."""
    phone = Phone(server, account).bind()
    phone.send("<presence/>")
    return phone.bodies(1)


def test_an_admin_sees_the_commands_and_others_do_not(guarded: Server, admin: Account) -> None:
    mine, others = listed(online(guarded, admin)), listed(online(guarded, guarded.account()))

    assert {f"{ADMIN}add-user", f"{ADMIN}get-registered-users-num"} < set(mine)
    assert [] == [node for node in others if node.startswith(ADMIN)]
    assert f"{ADMIN}get-user-password" not in mine


@pytest.mark.parametrize("name", ["add-user", "delete-user", "get-online-users-num", "announce"])
def test_others_are_forbidden(guarded: Server, admin: Account, name: str) -> None:
    phone = online(guarded, guarded.account())

    assert ("forbidden", "") == error_of(command(phone, ADMIN + name))
    info = ask(phone, "get", f"<query xmlns='{ns.DISCO_INFO}' node='{ADMIN}{name}'/>")
    assert ("forbidden", "") == error_of(info)


def test_a_session_that_an_admin_began_is_nobody_elses(guarded: Server, admin: Account) -> None:
    begun = command(online(guarded, admin), f"{ADMIN}delete-user")
    victim = guarded.account()
    sid = begun[0].get("sessionid", "")
    stranger = online(guarded, guarded.account())
    answer = command(stranger, f"{ADMIN}delete-user", sessionid=sid, inner=form(accountjids=victim.jid))

    assert ("forbidden", "") == error_of(answer)
    assert victim.jid in guarded.command("user", "list")


def test_users_are_added_and_deleted(guarded: Server, admin: Account) -> None:
    phone = online(guarded, admin)
    fields = {"accountjid": "Added@localhost", "password": "a good one", "password__verify": "a good one"}

    assert "completed" == status(run(phone, f"{ADMIN}add-user", **fields))
    assert ("conflict", "") == error_of(run(phone, f"{ADMIN}add-user", **fields))
    assert "added@localhost" in guarded.command("user", "list")
    answer = run(phone, f"{ADMIN}delete-user", accountjids=["added@localhost", "nobody@localhost"])
    assert [("error", "nobody@localhost does not exist")] == notes(answer)
    assert "added@localhost" not in guarded.command("user", "list")


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"accountjid": "x@localhost"},
        {"accountjid": "x@elsewhere.example", "password": "long enough"},
        {"accountjid": "x@localhost/res", "password": "long enough"},
        {"accountjid": "localhost", "password": "long enough"},
        {"accountjid": "@", "password": "long enough"},
        {"accountjid": ["x@localhost", "y@localhost"], "password": "long enough"},
        {"accountjid": "x@localhost", "password": "long enough", "password__verify": "another one"},
    ],
)
def test_what_cannot_be_added_is_told(guarded: Server, admin: Account, fields: dict[str, str]) -> None:
    phone = online(guarded, admin)
    before = guarded.command("user", "list")

    assert ("bad-request", "bad-payload") == error_of(run(phone, f"{ADMIN}add-user", **fields))
    assert before == guarded.command("user", "list")


def test_a_short_password_is_refused(guarded: Server, admin: Account) -> None:
    answer = run(online(guarded, admin), f"{ADMIN}add-user", accountjid="x@localhost", password="short")

    assert ("not-acceptable", "") == error_of(answer)


def test_a_disabled_account_is_out_until_it_is_enabled_again(guarded: Server, admin: Account) -> None:
    account = guarded.account()
    phone, friend = online(guarded, account), online(guarded, guarded.account())
    boss = online(guarded, admin)

    assert "completed" == status(run(boss, f"{ADMIN}disable-user", accountjids=account.jid))
    error = phone.stream_error()
    assert "not-authorized" == condition_of(error)
    assert "the account was disabled" == error.findtext(f"{{{ns.STREAM_ERRORS}}}text")
    with pytest.raises(Unexpected, match="account-disabled"):
        Phone(guarded, account)
    friend.message(account.jid, "are you there?")
    refused = friend.skip_to(stanza("message"), stanza("presence"))
    assert ("service-unavailable", "") == error_of(refused)
    assert ["1"] == values(command(boss, f"{ADMIN}get-disabled-users-num"), "disabledusersnum")
    listing = run(boss, f"{ADMIN}get-disabled-users-list", max_items="25")
    assert [account.jid] == values(listing, "disableduserjids")
    assert ("conflict", "") == error_of(run(boss, f"{ADMIN}add-user", accountjid=account.jid, password="another one"))

    assert "completed" == status(run(boss, f"{ADMIN}reenable-user", accountjids=account.jid))
    friend.message(account.jid, "and now?")
    friend.round_trip()
    assert ["and now?"] == first_bodies(guarded, account)
    assert ["0"] == values(command(boss, f"{ADMIN}get-disabled-users-num"), "disabledusersnum")


def test_what_a_disabled_account_held_is_there_afterwards(guarded: Server, admin: Account) -> None:
    account = guarded.account()
    phone, friend, boss = online(guarded, account), online(guarded, guarded.account()), online(guarded, admin)
    phone.cut()
    friend.message(account.jid, "before")
    friend.round_trip()
    run(boss, f"{ADMIN}disable-user", accountjids=account.jid)
    run(boss, f"{ADMIN}reenable-user", accountjids=account.jid)

    assert ["before"] == first_bodies(guarded, account)


def test_a_sleeping_session_of_a_disabled_account_cannot_be_resumed(guarded: Server, admin: Account) -> None:
    account = guarded.account()
    phone, boss = online(guarded, account), online(guarded, admin)
    previd, h = phone.session_id, phone.inbound
    phone.cut()
    run(boss, f"{ADMIN}disable-user", accountjids=account.jid)
    run(boss, f"{ADMIN}reenable-user", accountjids=account.jid)

    assert "failed" == Phone(guarded, account).resume(previd, h).tag.partition("}")[2]


def test_sessions_are_ended_one_or_all(guarded: Server, admin: Account) -> None:
    account = guarded.account()
    phone, tablet, boss = online(guarded, account), online(guarded, account, "tablet"), online(guarded, admin)

    assert "completed" == status(run(boss, f"{ADMIN}end-user-session", accountjids=f"{account.jid}/tablet"))
    assert "not-authorized" == condition_of(tablet.stream_error())
    phone.round_trip()
    run(boss, f"{ADMIN}end-user-session", accountjids=account.jid)
    assert "not-authorized" == condition_of(phone.stream_error())
    assert online(guarded, account).jid


def test_an_admin_does_not_lock_itself_out(guarded: Server, admin: Account) -> None:
    boss = online(guarded, admin)
    for name in ("delete-user", "disable-user"):
        assert ("not-allowed", "") == error_of(run(boss, ADMIN + name, accountjids=[admin.jid]))
    assert "completed" == status(run(boss, f"{ADMIN}end-user-session", accountjids=admin.jid))
    boss.round_trip()


def test_a_changed_password_ends_the_accounts_sessions(guarded: Server, admin: Account) -> None:
    account = guarded.account()
    phone, boss = online(guarded, account), online(guarded, admin)

    assert "completed" == status(
        run(boss, f"{ADMIN}change-user-password", accountjid=account.jid, password="something else")
    )
    assert "not-authorized" == condition_of(phone.stream_error())
    with pytest.raises(Unexpected, match="not-authorized"):
        Phone(guarded, account)
    unknown = run(boss, f"{ADMIN}change-user-password", accountjid="nobody@localhost", password="something else")
    assert ("item-not-found", "") == error_of(unknown)


def test_users_are_counted_and_listed_in_pages(guarded: Server, admin: Account) -> None:
    boss = online(guarded, admin)
    everybody = guarded.command("user", "list").split()
    number = values(command(boss, f"{ADMIN}get-registered-users-num"), "registeredusersnum")
    first = run(boss, f"{ADMIN}get-registered-users-list", max_items="25")
    page = values(first, "registereduserjids")
    more = values(first, "after")
    rest = run(boss, f"{ADMIN}get-registered-users-list", max_items="25", after=more[0])

    assert [str(len(everybody))] == number
    assert 25 == len(page)
    assert sorted(everybody) == sorted(page + values(rest, "registereduserjids"))
    assert [] == values(rest, "after")
    wrong = run(boss, f"{ADMIN}get-registered-users-list", max_items="1000000")
    assert ("bad-request", "bad-payload") == error_of(wrong)


def test_who_is_connected_is_online(guarded: Server, admin: Account) -> None:
    account = guarded.account()
    phone, boss = online(guarded, account), online(guarded, admin)
    jids = values(run(boss, f"{ADMIN}get-online-users-list", max_items="200"), "onlineuserjids")
    active = values(run(boss, f"{ADMIN}get-active-users", max_items="200"), "activeuserjids")
    count = values(command(boss, f"{ADMIN}get-online-users-num"), "onlineusersnum")

    assert {account.jid, admin.jid} <= set(jids)
    assert account.jid in active
    assert [str(len(jids))] == count
    phone.send("<inactive xmlns='urn:xmpp:csi:0'/>")
    phone.round_trip()
    assert account.jid in values(run(boss, f"{ADMIN}get-idle-users", max_items="200"), "idleuserjids")
    assert account.jid not in values(run(boss, f"{ADMIN}get-active-users", max_items="200"), "activeuserjids")


def test_a_users_last_login_and_statistics(guarded: Server, admin: Account) -> None:
    account, never = guarded.account(), guarded.account()
    phone, boss = online(guarded, account), online(guarded, admin)
    login = run(boss, f"{ADMIN}get-user-lastlogin", accountjids=[account.jid, never.jid])
    stats = run(boss, f"{ADMIN}user-stats", accountjid=account.jid)

    assert phone.jid
    when = values(login, "lastlogin")
    assert "T" in when[0]
    assert "" == when[1]
    assert ["phone"] == values(stats, "onlineresources")
    assert ["0"] == values(stats, "rostersize")
    unknown = run(boss, f"{ADMIN}user-stats", accountjid="nobody@localhost")
    assert ("item-not-found", "") == error_of(unknown)


def test_nobody_asks_on_an_account_or_a_subdomain(guarded: Server, admin: Account) -> None:
    boss = online(guarded, admin)

    assert ("item-not-found", "") == error_of(command(boss, f"{ADMIN}add-user", to=admin.jid))
    assert ("item-not-found", "") == error_of(command(boss, f"{ADMIN}add-user", to="push.localhost"))
    other = guarded.account()
    assert ("service-unavailable", "") == error_of(command(boss, f"{ADMIN}add-user", to=other.jid))


# The last ones: what they announce waits for those who did not take it


def test_an_announcement_reaches_who_is_connected(guarded: Server, admin: Account) -> None:
    phone, boss = online(guarded, guarded.account()), online(guarded, admin)
    answer = run(boss, f"{ADMIN}announce", announcement=["Down at noon", "for <an> hour"])
    message = phone.skip_to(stanza("message"), stanza("presence"))

    assert "completed" == status(answer)
    assert ("headline", "localhost") == (message.get("type"), message.get("from"))
    assert "Down at noon\nfor <an> hour" == message.findtext(stanza("body"))
    assert ("bad-request", "bad-payload") == error_of(run(boss, f"{ADMIN}announce", announcement=" "))
    boss.ack()  # its own copy
    boss.round_trip()


def test_an_announcement_is_not_made_twice(guarded: Server, admin: Account) -> None:
    boss = online(guarded, admin)
    begun = command(boss, f"{ADMIN}announce")
    sid = begun[0].get("sessionid", "")
    once = command(boss, f"{ADMIN}announce", sessionid=sid, inner=form(announcement="hear"))
    again = command(boss, f"{ADMIN}announce", sessionid=sid, inner=form(announcement="hear"))

    assert "completed" == status(once)
    assert ("not-allowed", "session-expired") == error_of(again)
