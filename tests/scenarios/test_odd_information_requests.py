"""Requests for information and storage as no client should write them: each gets an answer, and nothing is harmed."""

import pytest

from gateway.xmpp import ns
from tests.support.iq import answer_to, error_of
from tests.support.phone import Phone
from tests.support.processes import DOMAIN, Server

PAYLOADS = {
    "disco-info": (ns.DISCO_INFO, "query"),
    "disco-items": (ns.DISCO_ITEMS, "query"),
    "version": (ns.VERSION, "query"),
    "time": (ns.TIME, "time"),
    "last": (ns.LAST_ACTIVITY, "query"),
    "services": (ns.EXTERNAL_SERVICES, "services"),
    "credentials": (ns.EXTERNAL_SERVICES, "credentials"),
    "private": (ns.PRIVATE, "query"),
    "vcard": (ns.VCARD, "vCard"),
    "ping": (ns.PING, "ping"),
}

ODD = {
    "attributes": "<{name} xmlns='{ns}' node='&#x1F600;&lt;' type='&apos;' x='y' xml:lang='de'/>",
    "a long node": "<{name} xmlns='{ns}' node='{long}' type='{long}'/>",
    "text": "<{name} xmlns='{ns}'>text &amp; more</{name}>",
    "text beside elements": "<{name} xmlns='{ns}'>a<b xmlns='urn:b'/>c</{name}>",
    "itself inside": "<{name} xmlns='{ns}'><{name} xmlns='{ns}'/></{name}>",
    "its children twice": "<{name} xmlns='{ns}'><service/><service/><FN/><FN/></{name}>",
    "deep": "<{name} xmlns='{ns}'>{deep}</{name}>",
    "large": "<{name} xmlns='{ns}'><a xmlns='urn:a'>{large}</a></{name}>",
    "a prefix": "<p:{name} xmlns:p='{ns}'/>",
    "a prefix of the iq": "<z:{name}/>",
    "attributes with prefixes": "<{name} xmlns='{ns}' xmlns:p='urn:p' p:node='x' p:type='y'/>",
}

ODD_WITHOUT_HANDLER = {
    "another namespace": "<{name} xmlns='{ns}x'/>",
    "no namespace": "<{name} xmlns=''/>",
    "another name": "<{name}x xmlns='{ns}'/>",
}


def written(template: str, payload: str) -> str:
    namespace, name = PAYLOADS[payload]
    deep = "<a>" * 50 + "</a>" * 50
    return template.format(ns=namespace, name=name, long="x" * 20_000, large="x" * 100_000, deep=deep)


def answers(phone: Phone, payload: str, template: str) -> list[str]:
    """What each kind of address says: the condition, "" for a result."""
    found = []
    for type_ in ("get", "set"):
        for to in (None, DOMAIN, phone.account.jid, f"push.{DOMAIN}", f"nobody@{DOMAIN}"):
            at = f" to='{to}'" if to else ""
            odd = written(template, payload)
            answer = answer_to(phone, f"<iq type='{type_}' id='%s'{at} xmlns:z='{PAYLOADS[payload][0]}'>{odd}</iq>")
            found.append(error_of(answer))
    return found


@pytest.mark.parametrize("payload", PAYLOADS)
def test_odd_requests_are_answered_and_never_by_a_fault_of_ours(server: Server, payload: str) -> None:
    phone = Phone(server, server.account()).bind()

    for case, template in ODD.items():
        found = answers(phone, payload, template)

        assert not {"internal-server-error", "undefined-condition"} & set(found), (case, found)
    assert "Traceback" not in server.log()


@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_only_looks_like_a_request_is_nobodys(server: Server, payload: str) -> None:
    phone = Phone(server, server.account()).bind()

    for template in ODD_WITHOUT_HANDLER.values():
        assert {"service-unavailable"} == set(answers(phone, payload, template))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_two_payloads_or_none_are_a_bad_request(server: Server, payload: str) -> None:
    phone = Phone(server, server.account()).bind()
    namespace, name = PAYLOADS[payload]
    one = f"<{name} xmlns='{namespace}'/>"

    for content in (one + one, ""):
        answer = answer_to(phone, f"<iq type='get' id='%s' to='{DOMAIN}'>{content}</iq>")

        assert "bad-request" == error_of(answer)
