"""The control port: what was received, as JSON over HTTP."""

import gevent
import pytest

from tests.sandbox.clients import DEVICE, ApnsClient, control, headers_for, provider_token, send_to_fcm
from workers.sandbox.server import Sandbox

OTHER_DEVICE = "b2" * 32


def push_to(sandbox: Sandbox, *devices: str) -> None:
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        for device in devices:
            client.push(headers, device=device)


def test_pushes_are_listed_from_a_number_on_and_by_token(sandbox: Sandbox) -> None:
    push_to(sandbox, DEVICE, OTHER_DEVICE, DEVICE)
    send_to_fcm(sandbox, {"message": {"token": "android"}})

    def listed(query: str) -> list[int]:
        return [push["seq"] for push in control(sandbox, "GET", f"/pushes?{query}").json()["pushes"]]

    assert [1, 2, 3, 4] == listed("")
    assert [3, 4] == listed("since=2")
    assert [1, 3] == listed(f"token={DEVICE}")
    assert [4] == listed("provider=fcm")
    assert [1] == listed("limit=1")
    assert [] == listed("status=410")
    assert 4 == control(sandbox, "GET", "/pushes?since=4").json()["last_seq"]


def test_a_listing_can_wait_for_the_next_push(sandbox: Sandbox) -> None:
    waiting = gevent.spawn(control, sandbox, "GET", f"/pushes?since=0&token={DEVICE}&wait=30")
    push_to(sandbox, OTHER_DEVICE, DEVICE)
    answer = waiting.get(timeout=20)

    assert [DEVICE] == [push["token"] for push in answer.json()["pushes"]]


def test_a_wait_without_a_push_ends_empty(sandbox: Sandbox) -> None:
    assert [] == control(sandbox, "GET", "/pushes?wait=0.1").json()["pushes"]


def test_forgetting_pushes_goes_on_numbering(sandbox: Sandbox) -> None:
    push_to(sandbox, DEVICE)
    forgotten = control(sandbox, "DELETE", "/pushes").json()
    push_to(sandbox, DEVICE)

    assert {"forgotten": 1} == forgotten
    assert [2] == [push["seq"] for push in control(sandbox, "GET", "/pushes").json()["pushes"]]
    assert 1 == control(sandbox, "GET", "/stats").json()["apns_status_200"]


def test_faults_are_listed_and_disarmed(sandbox: Sandbox) -> None:
    control(sandbox, "POST", f"/control/apns/tokens/{DEVICE}", {"reason": "Unregistered"})
    control(sandbox, "POST", "/control/fcm/tokens/a%2Fb", {"reason": "UNREGISTERED"})
    control(sandbox, "POST", "/control/fcm/faults", {"status": 503, "every": 2})
    listing = control(sandbox, "GET", "/control/faults").json()["faults"]
    disarmed = [
        control(sandbox, "DELETE", path).json()["disarmed"] for path in ("/control/fcm/faults", "/control/faults")
    ]

    assert [("apns", DEVICE), ("fcm", "a/b"), ("fcm", "")] == [(f["provider"], f["token"]) for f in listing]
    assert [2, 1] == disarmed


def test_settings_are_shown_and_changed_one_by_one(sandbox: Sandbox) -> None:
    control(sandbox, "POST", "/control/settings", {"apns_strict_devices": True})
    control(sandbox, "POST", "/control/settings", {"apns_max_concurrent_streams": 5})
    settings = control(sandbox, "GET", "/control/settings").json()

    assert (True, 5) == (settings["apns_strict_devices"], settings["apns_max_concurrent_streams"])
    assert sandbox.behaviour.apns_strict_devices


def test_the_clock_can_be_advanced(sandbox: Sandbox) -> None:
    before = sandbox.clock.now()
    control(sandbox, "POST", "/control/clock", {"advance_s": 5000})

    assert sandbox.clock.now() - before >= 5000


@pytest.mark.parametrize(
    ("method", "path", "value"),
    [
        ("POST", "/control/apns/faults", {"reasn": "x"}),
        ("POST", "/control/apns/faults", {"status": "410"}),
        ("POST", "/control/apns/faults", {"action": "explode"}),
        ("POST", "/control/apns/faults", {"times": 0}),
        ("POST", "/control/settings", {"apns_strict": True}),
        ("POST", "/control/settings", {"apns_idle_timeout_s": 0}),
        ("POST", "/control/clock", {"hours": 5}),
        ("POST", "/control/clock", {"advance_s": "long"}),
        ("POST", "/control/apns/keys", {"team_id": "x"}),
        ("GET", "/pushes?since=-1", None),
        ("GET", "/pushes?since=x", None),
        ("GET", "/pushes?wait=long", None),
        ("GET", "/pushes?wait=nan", None),
    ],
)
def test_nonsense_is_refused_with_a_sentence(sandbox: Sandbox, method: str, path: str, value: object) -> None:
    answer = control(sandbox, method, path, value)

    assert 400 == answer.status
    assert answer.json()["error"]


def test_what_is_not_there_is_not_found(sandbox: Sandbox) -> None:
    paths = ["/pushed", "/control", "/control/apns", "/control/hms/faults", "/control/apns/devices/a/b"]

    assert [404] * len(paths) == [control(sandbox, "POST", path).status for path in paths]


def test_the_front_page_says_where_everything_is(sandbox: Sandbox) -> None:
    front = control(sandbox, "GET", "/").json()

    assert sandbox.addresses == front["addresses"]
    assert 0 == front["stats"]["apns_connections"]
