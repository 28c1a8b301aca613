"""Which registrations of other servers' users can work."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.xmpp.errors import StanzaError
from workers.appserver.registration import Apps, device_of
from workers.push.settings import AppSettings

APPS = {
    "ios": AppSettings(provider="apns"),
    "tigase:messenger:apns:1": AppSettings(provider="apns"),
    "droid": AppSettings(provider="fcm"),
    "web": AppSettings(provider="webpush"),
}
POINT = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(
    Encoding.X962, PublicFormat.UncompressedPoint
)  # fmt: skip


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


WEB = {"endpoint": "https://updates.push.example/abc", "p256dh": encoded(POINT), "auth": encoded(bytes(16))}


def some_apps(*names: str, content: str = "none") -> Apps:
    return Apps.allowed("push.peer.example", names, APPS, content)


def test_a_token_of_apns_is_kept_with_what_belongs_to_it() -> None:
    fields = {"token": "ab" * 32, "voip_token": "cd" * 32, "environment": "sandbox"}
    found = some_apps().registration("ios", fields)

    assert ("push.peer.example", "ios", "ab" * 32, "cd" * 32, "sandbox", "none") == (
        found.service, found.app, found.token, found.voip_token, found.environment, found.content
    )  # fmt: skip


def test_a_web_push_subscription_is_kept_with_its_keys() -> None:
    found = some_apps().registration("web", WEB)

    assert (WEB["endpoint"], WEB["p256dh"], WEB["auth"]) == (found.token, found.p256dh, found.auth)


@pytest.mark.parametrize(
    ("operator", "asked", "told"),
    [
        ("none", "body", "none"),
        ("body", "sender", "sender"),
        ("body", "", "body"),
        ("sender", "body", "sender"),
    ],
)
def test_no_more_is_told_than_the_operator_allows_and_the_device_asks_for(operator: str, asked: str, told: str) -> None:
    found = some_apps(content=operator).registration("droid", {"token": "t", "content": asked})

    assert told == found.content


@pytest.mark.parametrize(
    ("app", "fields", "condition"),
    [
        ("other", {"token": "t"}, "item-not-found"),
        ("droid", {}, "bad-request"),
        ("droid", {"token": " "}, "bad-request"),
        ("droid", {"token": "t" * 5000}, "not-acceptable"),
        ("ios", {"token": "xyz"}, "not-acceptable"),
        ("ios", {"token": "ab" * 32, "voip_token": "xyz"}, "not-acceptable"),
        ("ios", {"token": "ab" * 32, "environment": "moon"}, "bad-request"),
        ("ios", {"token": "ab" * 32, "content": "all"}, "bad-request"),
        ("web", {**WEB, "endpoint": "http://updates.push.example/abc"}, "not-acceptable"),
        ("web", {**WEB, "endpoint": "https://user@updates.push.example/"}, "not-acceptable"),
        ("web", {**WEB, "endpoint": "https://[::1"}, "not-acceptable"),
        ("web", {**WEB, "endpoint": "https://a b"}, "not-acceptable"),
        ("web", {**WEB, "p256dh": encoded(bytes(65))}, "not-acceptable"),
        ("web", {**WEB, "p256dh": "!"}, "not-acceptable"),
        ("web", {**WEB, "auth": encoded(bytes(15))}, "not-acceptable"),
        ("web", {"endpoint": WEB["endpoint"]}, "bad-request"),
    ],
)
def test_what_could_not_work_is_refused(app: str, fields: dict[str, Any], condition: str) -> None:
    with pytest.raises(StanzaError, match=condition):
        some_apps().registration(app, fields)


def test_only_the_apps_that_the_operator_named_can_be_registered() -> None:
    with pytest.raises(StanzaError, match="item-not-found"):
        some_apps("droid").registration("ios", {"token": "ab" * 32})


def test_a_command_that_names_no_app_means_the_first_of_its_provider() -> None:
    assert ("ios", "droid") == (some_apps().of_provider("apns"), some_apps().of_provider("fcm"))
    assert "tigase:messenger:apns:1" == some_apps("tigase:messenger:apns:1", "ios").of_provider("apns")


def test_without_an_app_of_that_provider_there_is_none() -> None:
    with pytest.raises(StanzaError, match="item-not-found"):
        some_apps("ios").of_provider("fcm")


@pytest.mark.parametrize(
    ("provider", "app"),
    [("tigase:messenger:apns:1", "tigase:messenger:apns:1"), ("beagle:apns:2", "ios"), ("fcm-xmpp-api", "droid")],
)
def test_tigases_providers_are_apps_of_that_name_or_at_that_provider(provider: str, app: str) -> None:
    assert app == some_apps().named(provider)


def test_a_device_is_known_by_its_name_or_else_its_token() -> None:
    registration = some_apps().registration("droid", {"token": "t"})
    by_name = {device_of({name: "7"}, registration) for name in ("device-id", "android-id")}

    assert 1 == len(by_name)
    assert device_of({}, registration) not in by_name


def test_a_name_of_a_device_has_an_end() -> None:
    registration = some_apps().registration("droid", {"token": "t"})
    with pytest.raises(StanzaError, match="not-acceptable"):
        device_of({"device-id": "x" * 257}, registration)
