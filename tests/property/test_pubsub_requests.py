"""Whatever stands in a pubsub request, of whomever: it is answered, or refused as a stanza error, and nobody touches
another account's nodes, or sees what is hidden there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.composition import Features
from gateway.features.pep import owner, requests
from gateway.hooks import Query
from gateway.mailbox.interests import Interests
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID
from gateway.xmpp.stanza import peek
from tests.mailbox.eventing import BALCONY, ROMEO, ROMEO_ORCHARD, TUNE, Process, Stage
from tests.mailbox.world import JULIET, a_world

SECRET = b"what only she may read"

names = st.sampled_from(
    ["items", "item", "publish", "retract", "create", "subscribe", "unsubscribe", "subscriptions", "affiliations",
     "affiliation", "configure", "default", "delete", "purge", "options", "publish-options", "redirect", "set"]
)  # fmt: skip
namespaces = st.sampled_from([ns.PUBSUB, ns.PUBSUB_OWNER, ns.RSM, "urn:other", ""])
values = st.sampled_from(
    [TUNE, "hidden", "n", "", "current", ROMEO, JULIET, "@", "true", "1", "-1", "max", "member", "outcast", "x" * 2000]
)
attributes = st.dictionaries(
    st.sampled_from(["node", "id", "jid", "max_items", "notify", "affiliation", "subid"]), values, max_size=4
)
fields = st.lists(
    st.tuples(
        st.sampled_from(["FORM_TYPE", "pubsub#access_model", "pubsub#max_items", "pubsub#title", "pubsub#what"]),
        st.lists(
            st.sampled_from(["open", "max", "5", "", ns.PUBSUB + "#node_config", ns.PUBSUB_PUBLISH_OPTIONS]), max_size=2
        ),
    ),
    max_size=4,
)


def a_form(type_: str, found: list[tuple[str, list[str]]]) -> str:
    inner = "".join(
        f"<field var='{var}'>{''.join(f'<value>{escape(value)}</value>' for value in each)}</field>"
        for var, each in found
    )
    return f"<x xmlns='{ns.DATA_FORMS}' type='{type_}'>{inner}</x>"


def an_element(name: str, namespace: str, attrs: dict[str, str], inner: list[str]) -> str:
    written = "".join(f" {key}='{escape(value)}'" for key, value in attrs.items())
    declared = f" xmlns='{namespace}'" if namespace else ""
    return f"<{name}{declared}{written}>{''.join(inner)}</{name}>"


leaves = st.one_of(
    st.builds(a_form, st.sampled_from(["submit", "cancel", "form", "odd"]), fields),
    st.builds(an_element, names, st.just(""), attributes, st.just([])),
    st.just("text"),
)
elements = st.recursive(
    leaves,
    lambda inner: st.builds(
        an_element, names, st.one_of(st.just(""), st.just(""), namespaces), attributes, st.lists(inner, max_size=2)
    ),
    max_leaves=5,
)
payloads = st.builds(
    lambda namespace, inner: an_element("pubsub", namespace, {}, inner),
    st.sampled_from([ns.PUBSUB, ns.PUBSUB_OWNER]),
    st.lists(elements, max_size=3),
)


@dataclass
class Asker:
    """Somebody's session."""

    jid: JID
    grip: Any = None


@dataclass
class Served(Process):
    """The process, with features that nobody listens to."""

    features: Features = field(default_factory=lambda: Features(()))


@pytest.fixture(scope="module")
def stage(redis_server: Any) -> Iterator[Stage]:
    with a_world(redis_server.url) as world:
        world.redis.flushall()
        world.account()
        world.account(ROMEO)
        stage = Stage(world)
        stage.process = Served(world, stage.process.settings)
        stage.publish("hidden", payload=b"<x xmlns='urn:x'>" + SECRET + b"</x>", access_model="whitelist")
        stage.publish(TUNE, payload=b"<x xmlns='urn:x'>" + SECRET + b"</x>")
        yield stage


def serve(stage: Stage, asker: str, to: str, type_: str, payload: str) -> bytes:
    """The answer, or the stanza error."""
    answers: list[bytes] = []
    iq = peek(f"<iq type='{type_}' id='i'>{payload}</iq>".encode())
    session: Any = Asker(JID.parse(asker))
    services: Any = stage.process
    query = Query(session, iq, JID.parse(to), services, answers.append, lambda error: None)
    module = owner if iq.children[0][0] == ns.PUBSUB_OWNER else requests
    try:
        (module.get if type_ == "get" else module.put)(query)
    except StanzaError as error:
        return error.to_bytes()
    (answer,) = answers
    return answer


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(type_=st.sampled_from(["get", "set"]), payload=payloads)
def test_somebody_elses_nodes_stay_as_they_are_and_hidden(stage: Stage, type_: str, payload: str) -> None:
    answer = serve(stage, ROMEO_ORCHARD, JULIET, type_, payload)

    assert SECRET not in answer
    assert ["hidden", TUNE] == sorted((node for node, _ in stage.pubsubs.nodes(JULIET, BALCONY)), key=len)
    assert SECRET in stage.pubsubs.items(JULIET, BALCONY, "hidden").items[0].xml


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(type_=st.sampled_from(["get", "set"]), payload=payloads)
def test_ones_own_requests_are_answered_or_refused(stage: Stage, type_: str, payload: str) -> None:
    answer = serve(stage, ROMEO_ORCHARD, ROMEO, type_, payload)

    if answer:
        peek(answer)  # it is well-formed
    for node, config in stage.pubsubs.nodes(ROMEO, ROMEO_ORCHARD):
        assert node and len(node) <= 1023
        assert 0 <= config.max_items <= 1000


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(type_=st.sampled_from(["get", "set"]), payload=payloads)
def test_for_strangers_an_account_is_as_one_that_is_not_there(stage: Stage, type_: str, payload: str) -> None:
    there, missing = (serve(stage, ROMEO_ORCHARD, to, type_, payload) for to in (JULIET, "nobody@localhost"))

    assert missing == there


def test_the_stage_is_not_empty(stage: Stage) -> None:
    assert Interests.of(stage.process) is Interests.of(stage.process)
    answer = serve(stage, BALCONY, JULIET, "get", f"<pubsub xmlns='{ns.PUBSUB}'><items node='hidden'/></pubsub>")

    assert SECRET in answer
