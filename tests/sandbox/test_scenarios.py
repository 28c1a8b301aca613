"""Scenarios: scripts for the control port, played on the sandbox's clock."""

import json
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.sandbox.clients import (
    DEVICE,
    ApnsClient,
    access_token,
    control,
    headers_for,
    http_request,
    provider_token,
    send_to_fcm,
)
from workers.sandbox.scenario import read_scenario
from workers.sandbox.server import Sandbox

READY_MADE = sorted(Path(__file__).parents[2].glob("config/sandbox/*.toml"))
TWO_STEPS = """
name = "two"
[[steps]]
at_s = 50
do = "DELETE /control/faults"
[[steps]]
do = "POST /control/apns/faults"
body = { reason = "ServiceUnavailable" }
"""


def play_to_the_end(sandbox: Sandbox, text: str) -> dict[str, Any]:
    """Play a scenario, moving the clock whenever it waits for a later step."""
    http_request(sandbox, "control", "POST", "/control/scenario", text.encode())
    for _ in range(1000):
        status: dict[str, Any] = control(sandbox, "GET", "/control/scenario?wait=0.02").json()
        if not status["playing"]:
            return status
        sandbox.clock.advance(10)
    raise AssertionError(status)


def test_steps_are_carried_out_at_their_times_of_the_sandboxs_clock(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    started = http_request(sandbox, "control", "POST", "/control/scenario", TWO_STEPS.encode()).json()
    early = control(sandbox, "GET", "/control/scenario?wait=0.1").json()
    with ApnsClient(sandbox) as client:
        during = client.push(headers)
        sandbox.clock.advance(50)
        ended = control(sandbox, "GET", "/control/scenario?wait=20").json()
        after = client.push(headers)

    assert ("two", True, 2) == (started["name"], started["playing"], started["steps"])
    assert (True, 1) == (early["playing"], early["done"])
    assert (False, 2, []) == (ended["playing"], ended["done"], ended["refused"])
    assert [503, 200] == [during.status, after.status]


def test_a_scenario_can_be_json_and_repeat(sandbox: Sandbox) -> None:
    text = json.dumps({"repeat": 3, "round_s": 60, "steps": [{"at_s": 5, "do": "POST /control/fcm/maintenance"}]})
    before = sandbox.clock.now()
    status = play_to_the_end(sandbox, text)

    assert 3 == status["done"]
    assert sandbox.clock.now() - before >= 125


def test_a_step_that_is_refused_is_shown_and_the_rest_is_played(sandbox: Sandbox) -> None:
    text = """
    steps = [
      { do = "POST /control/apns/faults", body = { reasn = "x" } },
      { do = "POST /control/settings", body = { apns_strict_devices = true } },
    ]
    """
    status = play_to_the_end(sandbox, text)

    assert 2 == status["done"]
    (refused,) = status["refused"]
    assert "reasn" in refused
    assert sandbox.behaviour.apns_strict_devices


def test_a_scenario_can_be_stopped(sandbox: Sandbox) -> None:
    http_request(sandbox, "control", "POST", "/control/scenario", TWO_STEPS.encode())
    control(sandbox, "GET", "/control/scenario?wait=0.1")
    status = control(sandbox, "DELETE", "/control/scenario").json()

    assert (False, 1) == (status["playing"], status["done"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "steps = []",
        "steps = [{ do = 'PUSH /control' }]",
        "steps = [{ do = 'GET /stats', when = 5 }]",
        "steps = [{ do = 'GET /stats', at_s = -1 }]",
        "steps = [{ do = 'GET /stats' }]\nrepeat = 0",
        "{",
        "{}",
        "this is no scenario",
        "\udc80",
    ],
)
def test_what_is_no_scenario_is_refused_with_a_sentence(sandbox: Sandbox, text: str) -> None:
    body = text.encode("utf-8", "surrogateescape")
    answer = http_request(sandbox, "control", "POST", "/control/scenario", body)

    assert 400 == answer.status
    assert "scenario" in answer.json()["error"]


@pytest.mark.parametrize("file", READY_MADE, ids=[file.stem for file in READY_MADE])
def test_a_ready_made_scenario_plays_and_leaves_a_sandbox_that_accepts(sandbox: Sandbox, file: Path) -> None:
    status = play_to_the_end(sandbox, file.read_text())
    sandbox.faults.disarm("apns", DEVICE)
    with ApnsClient(sandbox) as client:
        headers = headers_for(provider_token(sandbox))
        replies = [client.push(headers).status for _ in range(2)]

    assert [] == status["refused"]
    assert (file.stem, status["steps"]) == (status["name"], status["done"])
    assert status["description"]
    assert 200 == replies[-1]
    assert 200 == send_to_fcm(sandbox, {"message": {"token": "device"}}, token=access_token(sandbox)).status


def test_there_is_one_for_each_trouble_that_the_documentation_promises() -> None:
    promised = {
        "bad-gateway",
        "goaway-storm",
        "key-rotation",
        "one-stream",
        "outage",
        "silence",
        "slow",
        "throttling",
    }

    assert promised == {file.stem for file in READY_MADE}


def test_chance_strikes_the_same_after_the_same_seed(sandbox: Sandbox) -> None:
    def statuses() -> list[int]:
        control(sandbox, "POST", "/control/seed", {"seed": 42})
        sandbox.arm_apns(DEVICE, reason="ServiceUnavailable", probability=0.5)
        return [client.push(headers).status for _ in range(30)]

    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        first, second = statuses(), statuses()

    assert first == second
    assert {200, 503} == set(first)


def test_the_clock_can_be_read(sandbox: Sandbox) -> None:
    control(sandbox, "POST", "/control/clock", {"advance_s": 100})
    clock = control(sandbox, "GET", "/control/clock").json()

    assert (100, False) == (clock["ahead_s"], clock["stopped"])
    assert abs(clock["now"] - sandbox.clock.now()) < 60


def test_the_clock_can_stand_still(sandbox: Sandbox) -> None:
    stopped = control(sandbox, "POST", "/control/clock", {"stopped": True}).json()
    gevent.sleep(0.05)
    later = control(sandbox, "POST", "/control/clock", {"advance_s": 10}).json()
    going = control(sandbox, "POST", "/control/clock", {"stopped": False}).json()

    assert stopped["stopped"]
    assert pytest.approx(10, abs=0.001) == later["now"] - stopped["now"]
    assert not going["stopped"]
    assert 0 <= going["now"] - later["now"] < 60


def test_scenarios_are_read_from_toml_as_from_json() -> None:
    as_toml = read_scenario(TWO_STEPS.encode())
    as_json = read_scenario(
        b'{"name":"two","steps":[{"at_s":50,"do":"DELETE /control/faults"},'
        b'{"do":"POST /control/apns/faults","body":{"reason":"ServiceUnavailable"}}]}'
    )

    assert as_toml == as_json
