"""A Web Push subscription in a registration: the endpoint's URL, and keys that can be used."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.features.push.web_push import Subscription, read
from gateway.xmpp.errors import StanzaError


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
OF_ANOTHER_CURVE = b"\x04" + bytes(31) + b"\x01" + bytes(31) + b"\x01"
AUTH = bytes(range(240, 256))
URL = "https://updates.push.example/wpush/v2/gAAAAABk?x=1"
GOOD = {"endpoint": URL, "p256dh": base64url(POINT), "auth": base64url(AUTH)}


def condition(fields: dict[str, str], *, is_anywhere: bool = False) -> str:
    with pytest.raises(StanzaError) as refused:
        read(fields, is_anywhere=is_anywhere)
    return str(refused.value.condition)


def test_a_subscription_is_an_endpoint_and_two_keys() -> None:
    assert Subscription(URL, base64url(POINT), base64url(AUTH)) == read(GOOD, is_anywhere=False)


def test_the_endpoint_may_stand_in_the_field_token() -> None:
    fields = {name: value for name, value in GOOD.items() if name != "endpoint"}

    assert URL == read({**fields, "token": URL}, is_anywhere=False).endpoint


def test_padding_is_taken_and_not_kept() -> None:
    padded = {name: base64.urlsafe_b64encode(key).decode() for name, key in (("p256dh", POINT), ("auth", AUTH))}

    assert (base64url(POINT), base64url(AUTH)) == (
        read({**GOOD, **padded}, is_anywhere=False).p256dh,
        read({**GOOD, **padded}, is_anywhere=False).auth,
    )


@pytest.mark.parametrize("_", range(20))
def test_points_on_the_curve_are_known_as_such(_: int) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    assert base64url(point) == read({**GOOD, "p256dh": base64url(point)}, is_anywhere=False).p256dh


@pytest.mark.parametrize(
    "endpoint",
    ["http://push.example/x", "push.example", "https://", "https:///x", "https://user:secret@push.example/",
     "https://push.example:99999/", "https://push.example:0/", "https://push.example/a b", "https://push.example/é",
     "https://push.example/\n", "https://[::1", "ftp://push.example/", "https://push.example/#part", "javascript:1"],
)  # fmt: skip
def test_what_is_no_https_url_is_refused(endpoint: str) -> None:
    assert "not-acceptable" == condition({**GOOD, "endpoint": endpoint})


def test_http_is_for_apps_whose_operator_says_so() -> None:
    local = {**GOOD, "endpoint": "http://127.0.0.1:8090/x"}

    assert "http://127.0.0.1:8090/x" == read(local, is_anywhere=True).endpoint
    assert "not-acceptable" == condition({**GOOD, "endpoint": "file:///etc/passwd"}, is_anywhere=True)


def test_an_endpoint_of_5000_characters_is_refused() -> None:
    assert "not-acceptable" == condition({**GOOD, "endpoint": "https://push.example/" + "x" * 5000})


@pytest.mark.parametrize("missing", ["endpoint", "p256dh", "auth"])
def test_what_is_missing_is_said(missing: str) -> None:
    assert "bad-request" == condition({name: value for name, value in GOOD.items() if name != missing})


@pytest.mark.parametrize(
    "p256dh",
    [base64url(POINT[:-1]), base64url(POINT + b"x"), base64url(b"\x02" + POINT[1:33]), base64url(OF_ANOTHER_CURVE),
     base64url(b"\x04" + b"\xff" * 64), base64url(b"\x02" + POINT[1:]), "*" * 87, "A" * 100_000, "=",
     base64url(POINT) + "==="],
)  # fmt: skip
def test_a_p256dh_that_is_no_point_is_refused(p256dh: str) -> None:
    assert "not-acceptable" == condition({**GOOD, "p256dh": p256dh})


@pytest.mark.parametrize("auth", [base64url(AUTH[:-1]), base64url(AUTH + b"x"), "A" * 21, "/" * 22, "a b"])
def test_an_auth_that_is_not_16_bytes_is_refused(auth: str) -> None:
    assert "not-acceptable" == condition({**GOOD, "auth": auth})


def test_a_subscription_hides_what_it_holds() -> None:
    assert "Subscription()" == repr(read(GOOD, is_anywhere=False))


def test_refusals_say_nothing_of_what_was_refused() -> None:
    with pytest.raises(StanzaError) as refused:
        read({**GOOD, "endpoint": "http://secret.example/s3cret"}, is_anywhere=False)

    assert "secret" not in str(refused.value)
