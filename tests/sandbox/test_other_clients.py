"""Client libraries written elsewhere push to the sandbox, unchanged but for the address."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.clients import DEVICE
from tests.support.node import node_directory, node_environment
from workers.sandbox.material import PROJECT_ID
from workers.sandbox.server import Sandbox

__all__ = ["node_directory"]

GONE = "dead4100".ljust(64, "0")
WRONG_TOPIC = "dead4006".ljust(64, "0")


def run_client(sandbox: Sandbox, name: str, *arguments: str, **environment: str) -> Any:
    """What a Python client prints, or its last line of complaint if it fails."""
    surroundings = node_environment(**({"SSL_CERT_FILE": str(sandbox.material.ca_file)} | environment))
    script = f"tests.sandbox.others.{name}"
    command = [sys.executable, "-m", script, str(sandbox.material.addresses_file), *arguments]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=90, check=False)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


def run_node_client(sandbox: Sandbox, directory: Path, *arguments: str) -> Any:
    command = ["node", "apn_push.js", str(sandbox.material.addresses_file), *arguments]
    done = subprocess.run(
        command, cwd=directory, env=node_environment(), capture_output=True, text=True, timeout=90, check=False
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("mode", ["token", "certificate"])
def test_node_apn_pushes_and_reads_the_reasons(sandbox: Sandbox, node_directory: Path, mode: str) -> None:
    gone_at = 1_700_000_000_000
    sandbox.arm_apns(GONE, reason="Unregistered", timestamp=gone_at)

    outcomes = run_node_client(sandbox, node_directory, mode, DEVICE, GONE, WRONG_TOPIC, DEVICE)

    assert [
        [DEVICE, "sent", None, None],
        [GONE, "410", "Unregistered", gone_at],
        [WRONG_TOPIC, "400", "DeviceTokenNotForTopic", None],
        [DEVICE, "sent", None, None],
    ] == outcomes
    assert 1 == sandbox.stats()["apns_connections"]
    assert {"TEAM123456/KEY1234567" if mode == "token" else "certificate/org.example.chat"} == {
        push.sender for push in sandbox.record.since(0)
    }


def test_node_apn_reads_answers_in_unusual_frames(sandbox: Sandbox, node_directory: Path) -> None:
    for number, form in enumerate(("split", "empty")):
        sandbox.arm_apns(f"{number:064x}", reason="BadTopic", data=form)
    sandbox.arm_apns("c3" * 32, reason="ExpiredToken", timestamp=5, header_frames="continuation")

    outcomes = run_node_client(sandbox, node_directory, "token", f"{0:064x}", f"{1:064x}", "c3" * 32)

    assert ["BadTopic", "BadTopic", "ExpiredToken"] == [outcome[2] for outcome in outcomes]
    assert 5 == outcomes[2][3]


def test_aioapns_pushes_with_a_token(sandbox: Sandbox) -> None:
    gone_at = 1_700_000_000_000
    sandbox.arm_apns(GONE, reason="Unregistered", timestamp=gone_at)

    outcomes = run_client(sandbox, "aioapns_push", "token", DEVICE, GONE, WRONG_TOPIC, DEVICE)

    assert [["200", None], ["410", "Unregistered"], ["400", "DeviceTokenNotForTopic"], ["200", None]] == [
        outcome[:2] for outcome in outcomes
    ]
    assert gone_at == outcomes[1][2]
    assert 1 == sandbox.stats()["apns_connections"]


def test_aioapns_pushes_with_a_certificate(sandbox: Sandbox) -> None:
    outcomes = run_client(sandbox, "aioapns_push", "certificate", DEVICE)

    assert ["200"] == [outcome[0] for outcome in outcomes]
    assert "certificate/org.example.chat" == sandbox.record.since(0)[0].sender


def test_kalyke_pushes_with_a_token(sandbox: Sandbox) -> None:
    outcomes = run_client(sandbox, "kalyke_push", DEVICE, GONE, WRONG_TOPIC)

    assert ["sent", "Unregistered", "DeviceTokenNotForTopic"] == [outcome[0] for outcome in outcomes]
    assert sandbox.record.since(0)[1].received_at - 60_000 <= outcomes[1][1]["timestamp"]


def test_firebase_admin_pushes_and_reads_the_errors(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("busy", reason="QUOTA_EXCEEDED")
    failing = (f"fail-{code}-x" for code in ("UNREGISTERED", "SENDER_ID_MISMATCH", "THIRD_PARTY_AUTH_ERROR"))
    tokens = ["device", *failing, "busy", "fail-INVALID_ARGUMENT-x"]

    outcomes = run_client(sandbox, "firebase_push", *tokens)

    assert [
        ["sent", PROJECT_ID],
        ["UnregisteredError", "NOT_FOUND"],
        ["SenderIdMismatchError", "PERMISSION_DENIED"],
        ["ThirdPartyAuthError", "UNAUTHENTICATED"],
        ["QuotaExceededError", "RESOURCE_EXHAUSTED"],
        ["InvalidArgumentError", "INVALID_ARGUMENT"],
    ] == outcomes
    assert {"kind": "wake"} == sandbox.record.since(0, token="device")[0].payload["message"]["data"]


def test_firebase_admin_pushes_over_tls(sandbox: Sandbox) -> None:
    outcomes = run_client(
        sandbox,
        "firebase_push",
        "device",
        WAKEGATE_TEST_FCM_ENDPOINT=sandbox.addresses["fcm_tls_endpoint"],
        REQUESTS_CA_BUNDLE=str(sandbox.material.ca_file),
    )

    assert [["sent", PROJECT_ID]] == outcomes


def test_a_certificate_bundle_of_the_surroundings_misleads_requests_unless_it_is_taken_away(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trap: REQUESTS_CA_BUNDLE wins over `session.verify`, and a client trusts nobody that its program named."""
    program = (
        "import requests, sys\n"
        "session = requests.Session()\n"
        "session.verify = sys.argv[2]\n"
        "print(session.get(sys.argv[1], timeout=30).status_code)\n"
    )
    ca_file = str(sandbox.material.ca_file)
    command = [sys.executable, "-c", program, sandbox.addresses["fcm_tls_endpoint"], ca_file]
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(sandbox.material.server_file))
    misled, freed = (
        subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
        for environment in (None, node_environment())
    )

    assert 1 == misled.returncode
    assert "CERTIFICATE_VERIFY_FAILED" in misled.stderr
    assert "404" == freed.stdout.strip(), freed.stderr


def test_pyfcm_pushes_and_reads_the_errors(sandbox: Sandbox) -> None:
    tokens = ["device", "fail-UNREGISTERED-x", "fail-INVALID_ARGUMENT-x", "fail-SENDER_ID_MISMATCH-x"]

    outcomes = run_client(sandbox, "pyfcm_push", *tokens)

    assert ["sent", "FCMNotRegisteredError", "InvalidDataError", "FCMSenderIdMismatchError"] == [
        outcome[0] for outcome in outcomes
    ]
    assert PROJECT_ID == outcomes[0][1]
    assert {"kind": "wake"} == sandbox.record.since(0, token="device")[0].payload["message"]["data"]
