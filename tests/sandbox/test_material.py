"""The sandbox's files: made once, reused, and good for a strict client."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from workers.sandbox.material import BadMaterial, prepare, read_es256_key, read_rs256_key
from workers.sandbox.server import Addresses, Sandbox

MADE_ONCE = {"ca.pem", "server.pem", "AuthKey.p8", "client.pem", "service-account.json"}


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_keys_and_certificates_are_made_once(tmp_path: Path) -> None:
    first = contents(prepare(tmp_path).directory)
    second = contents(prepare(tmp_path).directory)
    (tmp_path / "sandbox" / "ca.pem").unlink()
    third = contents(prepare(tmp_path).directory)

    assert MADE_ONCE | {"vapid.pem"} == set(first)
    assert first == second
    assert all(first[name] != third[name] for name in MADE_ONCE)
    assert {0o600} == {path.stat().st_mode & 0o777 for path in (tmp_path / "sandbox").iterdir()}


def test_the_service_account_points_at_the_running_sandbox(tmp_path: Path) -> None:
    keys = []
    for _ in range(2):
        with Sandbox(tmp_path, Addresses.free()) as sandbox:
            account = json.loads(sandbox.material.service_account_file.read_bytes())
            addresses = json.loads(sandbox.material.addresses_file.read_bytes())
            keys.append(account["private_key"])

            assert f"http://{addresses['fcm']}/token" == account["token_uri"]
            assert sandbox.addresses == addresses

    assert keys[0] == keys[1]


def test_two_sandboxes_cannot_listen_in_one_place(tmp_path: Path) -> None:
    with Sandbox(tmp_path, Addresses.free()) as first:
        host, port = first.addresses["control"].split(":")
        second = Sandbox(
            tmp_path / "second",
            Addresses(apns=(host, 0), apns_development=(host, 0), fcm=(host, 0), control=(host, int(port))),
        )

        with pytest.raises(OSError, match="in use"):
            second.start()


def test_what_is_no_key_is_said_to_be_none(tmp_path: Path) -> None:
    account = prepare(tmp_path).service_account()

    assert load_pem_private_key(account["private_key"].encode(), None)
    for pem in (b"", b"-----BEGIN PUBLIC KEY-----\n", account["private_key"].encode()):
        with pytest.raises(BadMaterial):
            read_es256_key(pem)
    with pytest.raises(BadMaterial):
        read_rs256_key(prepare(tmp_path).apns_key_file.read_text())


def test_a_broken_service_account_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    prepare(tmp_path).service_account_file.write_text("{")

    with pytest.raises(BadMaterial, match="remove"):
        Sandbox(tmp_path, Addresses.free())
