"""XEP-0133's operations on accounts."""

from __future__ import annotations

import pytest

from gateway.mailbox import keys
from gateway.mailbox.administration import Administration
from gateway.mailbox.model import NotResumed, Status
from tests.mailbox.world import JULIET, World, a_message


@pytest.fixture
def administration(world: World) -> Administration:
    return Administration(world.mailbox)


def test_a_disabled_account_is_as_one_that_is_not_there(world: World, administration: Administration) -> None:
    phone = world.bind()
    phone.enable()
    ended = administration.disable(JULIET)

    assert ended is not None
    assert 1 == ended.sessions
    assert Status.NO_ACCOUNT == world.deliver(a_message("hello")).status
    assert isinstance(phone.resume(0), NotResumed)
    fields = world.accounts.credentials(JULIET)
    assert fields is not None
    assert "1" == fields["disabled"]
    assert (1, [JULIET]) == (administration.count(disabled=True), administration.page(after="", most=5, disabled=True))
    assert administration.disable(JULIET) is not None
    assert not world.accounts.create(JULIET, {"scheme": "new"})
    assert world.accounts.set_credentials(JULIET, {"scheme": "new"})


def test_a_disabled_account_is_enabled_with_all_it_holds(world: World, administration: Administration) -> None:
    phone = world.bind()
    phone.presence()
    world.deliver(a_message("one"))
    world.deliver(a_message("two"))
    administration.disable(JULIET)

    assert administration.reenable(JULIET)
    assert administration.reenable(JULIET)
    assert 0 == administration.count(disabled=True)
    again = world.bind()
    again.presence()
    assert [a_message("one"), a_message("two")] == [one for one in again.stanzas() if one.startswith(b"<message>")]


def test_who_does_not_exist_is_told(administration: Administration) -> None:
    assert administration.disable("nobody@localhost") is None
    assert not administration.reenable("nobody@localhost")
    assert administration.end_sessions("nobody@localhost") is None
    assert administration.standing("nobody@localhost") is None


def test_sessions_end_but_the_one_that_stays(world: World, administration: Administration) -> None:
    phone, tablet = world.bind(resource="phone"), world.bind(resource="tablet")
    ended = administration.end_sessions(JULIET, except_sid=phone.sid)

    assert ended is not None
    assert 1 == ended.sessions
    assert ["phone"] == [line.resource for line in world.accounts.sessions(JULIET)]
    assert tablet.sid != phone.sid
    again = administration.end_sessions(JULIET, resource="tablet")
    assert again is not None
    assert 0 == again.sessions


def test_pages_follow_each_other_and_show_everybody_once(world: World, administration: Administration) -> None:
    names = [f"user{number}@localhost" for number in range(130)]
    for name in names:
        world.accounts.create(name, {"scheme": "test"})
    found: list[str] = []
    while page := administration.page(after=found[-1] if found else "", most=40):
        found += page

    assert sorted([*names, JULIET]) == sorted(found)
    assert found == sorted(found, key=lambda user: (keys.bucket_of(user), user))
    assert len(found) == administration.count()


def test_who_is_connected_is_seen(world: World, administration: Administration) -> None:
    assert [] == list(administration.connected())
    phone = world.bind()
    phone.enable()

    assert [(JULIET, True)] == list(administration.connected())
    assert [JULIET] == administration.connected_page(after="", most=5, wanted=bool)
    assert [] == administration.connected_page(after=JULIET, most=5, wanted=bool)
    phone.hibernate()
    assert [] == list(administration.connected())
