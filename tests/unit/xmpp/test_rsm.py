"""XEP-0059: what a request and a page look like."""

import pytest

from gateway.xmpp import ns, payload, rsm
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.rsm import PageRequest


def read(inner: str) -> PageRequest:
    found = payload.read(f"<query xmlns='x:y'><set xmlns='{ns.RSM}'>{inner}</set></query>".encode())
    return rsm.read(found["x:y|query"])


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        ("", PageRequest()),
        ("<max>10</max>", PageRequest(10)),
        ("<max> 10\n</max>", PageRequest(10)),
        ("<max/>", PageRequest()),
        ("<max>0</max>", PageRequest(0)),
        ("<before/>", PageRequest(before="")),
        ("<before>a</before><max>1</max>", PageRequest(1, before="a")),
        ("<after>&lt;b&gt;</after>", PageRequest(after="<b>")),
        ("<after/>", PageRequest()),
        ("<index>7</index>", PageRequest(index=7)),
        ("<max xml:lang='en'>3</max>", PageRequest(3)),
        ("<max xmlns='other'>3</max>", PageRequest()),
    ],
)
def test_requests_are_read(inner: str, expected: PageRequest) -> None:
    assert expected == read(inner)


@pytest.mark.parametrize("payload_", [None, "text", {}, {"other": None}])
def test_without_a_set_nothing_is_asked(payload_: object) -> None:
    assert PageRequest() == rsm.read(payload_)


@pytest.mark.parametrize(
    "inner",
    ["<max>-1</max>", "<max>1.5</max>", "<max>\u0661</max>", "<max>1e3</max>", f"<max>{'9' * 50}</max>",
     "<index>x</index>", "<after>a</after><after>b</after>", "<before/><before/>"],
)  # fmt: skip
def test_what_is_no_request_is_refused(inner: str) -> None:
    with pytest.raises(StanzaError) as caught:
        read(inner)

    assert StanzaCondition.BAD_REQUEST is caught.value.condition


def test_a_text_instead_of_a_set_is_refused() -> None:
    with pytest.raises(StanzaError):
        rsm.read({rsm.KEY: "text"})


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, f"<set xmlns='{ns.RSM}'/>"),
        ({"count": 0}, f"<set xmlns='{ns.RSM}'><count>0</count></set>"),
        ({"first": "a&", "last": "b"}, f"<set xmlns='{ns.RSM}'><first>a&amp;</first><last>b</last></set>"),
        (
            {"first": "a", "last": "a", "index": 0, "count": 1},
            f"<set xmlns='{ns.RSM}'><first index='0'>a</first><last>a</last><count>1</count></set>",
        ),
    ],
)
def test_pages_are_described(said: dict[str, object], expected: str) -> None:
    assert expected == rsm.write(**said)  # type: ignore[arg-type]
