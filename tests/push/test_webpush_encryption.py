"""aes128gcm as RFC 8291 wants it, against the RFC's own example."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from workers.push.providers.webpush.encryption import PLAIN_LIMIT, DeviceKeys, KeysError, encrypt
from workers.sandbox.server import Sandbox
from workers.sandbox.webpush.decryption import BrowserKeys, decrypt

# RFC 8291, section 5 and appendix A
PLAIN = b"When I grow up, I want to be a watermelon"
AUTH = "BTBZMqHH6r4Tts7J_aSIgg"
RECEIVER_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
RECEIVER_PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
SENDER_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
MESSAGE = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def private(text: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(unbase64(text), "big"), ec.SECP256R1())


def test_the_example_of_the_rfc_comes_out_byte_for_byte() -> None:
    keys = DeviceKeys.of(RECEIVER_PUBLIC, AUTH)
    message = encrypt(PLAIN, keys, salt=unbase64(SALT), key=private(SENDER_PRIVATE))

    assert unbase64(MESSAGE) == message


def test_the_sandbox_reads_the_example_of_the_rfc() -> None:
    keys = BrowserKeys(private(RECEIVER_PRIVATE), unbase64(RECEIVER_PUBLIC), unbase64(AUTH))

    assert PLAIN == decrypt(unbase64(MESSAGE), keys)


@pytest.mark.parametrize("length", [0, 1, 16, PLAIN_LIMIT])
def test_what_is_encrypted_can_be_read_and_fits_what_every_push_service_takes(sandbox: Sandbox, length: int) -> None:
    subscription = sandbox.subscribe()
    said = subscription.as_json()["keys"]
    message = encrypt(b"x" * length, DeviceKeys.of(said["p256dh"], said["auth"]))

    assert b"x" * length == decrypt(message, subscription.keys)
    assert len(message) <= 4096


def test_the_same_text_is_never_encrypted_twice_the_same_way() -> None:
    keys = DeviceKeys.of(RECEIVER_PUBLIC, AUTH)
    one, two = encrypt(PLAIN, keys), encrypt(PLAIN, keys)

    assert one[:16] != two[:16]
    assert one[21:86] != two[21:86]
    assert one[86:] != two[86:]


def test_more_than_fits_one_record_is_not_encrypted() -> None:
    with pytest.raises(ValueError, match="3993 bytes fit one record"):
        encrypt(b"x" * (PLAIN_LIMIT + 1), DeviceKeys.of(RECEIVER_PUBLIC, AUTH))


@pytest.mark.parametrize("padding", ["", "="])
def test_keys_may_be_padded(padding: str) -> None:
    assert 65 == len(DeviceKeys.of(RECEIVER_PUBLIC + padding, AUTH + 2 * padding).point)


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("", AUTH),
        (RECEIVER_PUBLIC, ""),
        (RECEIVER_PUBLIC[:-2], AUTH),
        (RECEIVER_PUBLIC, AUTH + "AA"),
        ("A" * 87, AUTH),
        (RECEIVER_PUBLIC[:-4] + "AAAA", AUTH),
        ("ü" * 87, AUTH),
        (RECEIVER_PUBLIC.replace("_", "!"), AUTH),
    ],
    ids=["no key", "no secret", "a short key", "a long secret", "zeroes", "off the curve", "umlauts", "no base64"],
)
def test_keys_that_are_none_are_refused(p256dh: str, auth: str) -> None:
    with pytest.raises(KeysError):
        DeviceKeys.of(p256dh, auth)
