"""Client libraries written elsewhere push to the sandbox, unchanged but for the address."""

import json
import os
import subprocess
import sys
from typing import Any

from tests.sandbox.clients import DEVICE
from workers.sandbox.material import PROJECT_ID
from workers.sandbox.server import Sandbox

GONE = "dead4100".ljust(64, "0")
WRONG_TOPIC = "dead4006".ljust(64, "0")


def run_client(sandbox: Sandbox, name: str, *arguments: str) -> Any:
    environment = os.environ | {"SSL_CERT_FILE": str(sandbox.material.ca_file)}
    environment.pop("REQUESTS_CA_BUNDLE", None)
    script = f"tests.sandbox.others.{name}"
    command = [sys.executable, "-m", script, str(sandbox.material.addresses_file), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout)


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
    tokens = ["device", "fail-UNREGISTERED-x", "fail-SENDER_ID_MISMATCH-x", "busy", "fail-THIRD_PARTY_AUTH_ERROR-x"]

    outcomes = run_client(sandbox, "firebase_push", *tokens)

    assert [
        ["sent", PROJECT_ID],
        ["UnregisteredError", "NOT_FOUND"],
        ["SenderIdMismatchError", "PERMISSION_DENIED"],
        ["QuotaExceededError", "RESOURCE_EXHAUSTED"],
        ["ThirdPartyAuthError", "UNAUTHENTICATED"],
    ] == outcomes
    assert {"kind": "wake"} == sandbox.record.since(0, token="device")[0].payload["message"]["data"]
