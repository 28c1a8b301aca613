"""XEP-0050: a command of several stages, on a real store."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from gateway.adhoc import Ask, Command, Done, Note, Request
from gateway.composition import Features
from gateway.features import commands
from gateway.hooks import Feature, Query, Services, SessionView
from gateway.mailbox.commands import MOST, CommandSession, CommandSessions
from gateway.mailbox.mailbox import Mailbox
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaError
from gateway.xmpp.forms import Field, Layout
from gateway.xmpp.jid import JID
from gateway.xmpp.stanza import peek
from tests.mailbox.world import World, a_world


def service(request: Request) -> Ask:
    return Ask(
        Layout("form", title="Service", fields=(Field("service", type="text-single"),)), (Note("choose", "warn"),)
    )


def level(request: Request) -> Ask:
    return Ask(Layout("form", title=f"Level of {request.required('service')}", fields=(Field("level"),)))


def configure(request: Request) -> Done:
    chosen = (request.earlier[0].first("service"), request.required("level"))
    return Done(Layout("result", fields=(Field("done", values=chosen),)))


CONFIG = Command("config", "Configure", (service, level, configure))
TIME = Command("time", "Time", (lambda request: Done(notes=(Note("noon"),)),))


@dataclass
class Asker:
    """Somebody who executes commands; `answers` are the payloads."""

    world: World
    jid: JID
    answers: list[str] = field(default_factory=list)

    @property
    def mailbox(self) -> Mailbox:
        return self.world.mailbox

    @property
    def settings(self) -> Any:
        return None

    @property
    def features(self) -> Features:
        return Features((Feature(name="test", commands=(CONFIG, TIME)),))

    def ask(self, attributes: str, inner: str = "", to: str = "localhost") -> str:
        raw = f"<iq type='set' id='1'><command xmlns='{ns.COMMANDS}' {attributes}>{inner}</command></iq>"
        query = Query(
            session=cast("SessionView", self),
            iq=peek(raw.encode()),
            to=JID.parse(to),
            services=cast("Services", self),
            reply=lambda payload: self.answers.append(payload.decode()),
            fail=lambda error: pytest.fail(str(error)),
        )
        commands.execute(query)
        return self.answers[-1]

    def refused(self, attributes: str, inner: str = "", to: str = "localhost") -> tuple[str, str]:
        with pytest.raises(StanzaError) as refusal:
            self.ask(attributes, inner, to)
        return str(refusal.value.condition), refusal.value.extra.decode().split(" ")[0].strip("<")


@pytest.fixture
def asker(redis_url: str) -> Iterator[Asker]:
    with a_world(redis_url) as world:
        world.account()
        yield Asker(world, JID.parse("juliet@localhost/balcony"))


def submit(**fields: str) -> str:
    inner = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    return f"<x xmlns='jabber:x:data' type='submit'>{inner}</x>"


def sid_of(answer: str) -> str:
    match = re.search("sessionid='([^']+)'", answer)
    assert match is not None
    return match[1]


def test_stages_follow_each_other_and_know_what_came_before(asker: Asker) -> None:
    first = asker.ask("node='config'")
    sid = sid_of(first)
    second = asker.ask(f"node='config' sessionid='{sid}'", submit(service="httpd"))
    third = asker.ask(f"node='config' sessionid='{sid}' action='complete'", submit(level="3"))

    assert "status='executing'" in first
    assert "<actions execute='next'><next/></actions><note type='warn'>choose</note>" in first
    assert "Level of httpd" in second
    assert "<actions execute='complete'><prev/><complete/></actions>" in second
    assert "status='completed'" in third
    assert "<value>httpd</value><value>3</value>" in third


def test_one_goes_back_and_chooses_anew(asker: Asker) -> None:
    sid = sid_of(asker.ask("node='config' action='execute'"))
    asker.ask(f"node='config' sessionid='{sid}' action='next'", submit(service="httpd"))
    back = asker.ask(f"node='config' sessionid='{sid}' action='prev'")
    asker.ask(f"node='config' sessionid='{sid}' action='next'", submit(service="smtpd"))
    done = asker.ask(f"node='config' sessionid='{sid}'", submit(level="1"))

    assert "<title>Service</title>" in back
    assert "<value>smtpd</value><value>1</value>" in done


def test_what_is_canceled_or_completed_is_over(asker: Asker) -> None:
    sid = sid_of(asker.ask("node='config'"))
    canceled = asker.ask(f"node='config' sessionid='{sid}' action='cancel'")

    assert "status='canceled'" in canceled
    expired = ("not-allowed", "session-expired")
    assert expired == asker.refused(f"node='config' sessionid='{sid}'", submit(service="x"))
    done = sid_of(asker.ask("node='time'"))
    assert expired == asker.refused(f"node='time' sessionid='{done}'")


@pytest.mark.parametrize(
    ("attributes", "refusal"),
    [
        ("node='config' action='dance'", ("bad-request", "malformed-action")),
        ("node='config' action=''", ("bad-request", "malformed-action")),
        ("node='config' action='prev'", ("bad-request", "bad-action")),
        ("node='config' action='cancel'", ("bad-request", "bad-action")),
        ("node='config' sessionid=''", ("bad-request", "bad-sessionid")),
        ("node='config' sessionid='x'", ("bad-request", "bad-sessionid")),
        ("node='config' sessionid='aaaaaaaaaaaaaaaaaaaa'", ("not-allowed", "session-expired")),
        ("node='nothing'", ("item-not-found", "")),
        ("", ("bad-request", "")),
        ("node=''", ("bad-request", "")),
    ],
)
def test_the_standards_errors(asker: Asker, attributes: str, refusal: tuple[str, str]) -> None:
    assert refusal == asker.refused(attributes)


def test_wrong_forms_and_actions_leave_the_stage_as_it_was(asker: Asker) -> None:
    sid = sid_of(asker.ask("node='config'"))
    at = f"node='config' sessionid='{sid}'"
    field_twice = "<x xmlns='jabber:x:data' type='submit'><field var='a'/><field var='a'/></x>"
    for inner in ("", "text", "<x xmlns='jabber:x:data'/>", "<x xmlns='other' type='submit'/>", field_twice, submit()):
        assert ("bad-request", "bad-payload") == asker.refused(at, inner)
    assert ("bad-request", "bad-payload") == asker.refused(at, submit(service="x" * 70_000))
    assert ("bad-request", "bad-payload") == asker.refused(at, submit(service="a") * 2)
    for action in ("complete", "prev"):
        assert ("bad-request", "bad-action") == asker.refused(f"{at} action='{action}'", submit(service="a"))

    assert "Level of httpd" in asker.ask(at, submit(service="httpd"))


def test_a_session_is_its_askers_and_its_commands(asker: Asker) -> None:
    sid = sid_of(asker.ask("node='config'"))
    other = Asker(asker.world, JID.parse("juliet@localhost/orchard"))
    stranger = Asker(asker.world, JID.parse("nurse@localhost/x"))

    assert ("bad-request", "bad-sessionid") == other.refused(f"node='config' sessionid='{sid}'", submit(service="a"))
    assert ("bad-request", "bad-sessionid") == asker.refused(f"node='time' sessionid='{sid}'")
    assert ("not-allowed", "session-expired") == stranger.refused(f"node='config' sessionid='{sid}'")
    assert "Level of a" in asker.ask(f"node='config' sessionid='{sid}'", submit(service="a"))


@pytest.mark.parametrize("to", ["juliet@localhost", "push.localhost", "elsewhere.example"])
def test_only_the_server_has_commands(asker: Asker, to: str) -> None:
    assert ("item-not-found", "") == asker.refused("node='time'", to=to)


def test_the_oldest_session_of_too_many_goes(asker: Asker) -> None:
    sids = [sid_of(asker.ask("node='config'")) for _ in range(MOST + 1)]

    assert ("not-allowed", "session-expired") == asker.refused(f"node='config' sessionid='{sids[0]}'")
    for sid in sids[1:]:
        asker.ask(f"node='config' sessionid='{sid}' action='cancel'")


def test_a_stage_that_runs_is_not_begun_again(asker: Asker) -> None:
    sessions = CommandSessions(asker.mailbox)
    sessions.keep("juliet@localhost", "a" * 20, CommandSession("config", str(asker.jid)))

    assert CommandSession("config", str(asker.jid)) == sessions.take("juliet@localhost", "a" * 20)
    assert sessions.take("juliet@localhost", "a" * 20) is None


def test_nothing_is_kept_for_an_account_that_is_gone(asker: Asker) -> None:
    sessions = CommandSessions(asker.mailbox)
    sessions.keep("nobody@localhost", "a" * 20, CommandSession("config", "nobody@localhost/x"))

    assert sessions.take("nobody@localhost", "a" * 20) is None
