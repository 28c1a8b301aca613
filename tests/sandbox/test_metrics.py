"""GET /metrics of the control port: the counters as Prometheus reads them."""

from prometheus_client.parser import text_string_to_metric_families

from tests.sandbox.clients import DEVICE, ApnsClient, control, headers_for, provider_token
from workers.sandbox.server import Sandbox


def samples(sandbox: Sandbox) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    text = control(sandbox, "GET", "/metrics").body.decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_counters_are_given_to_prometheus(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, reason="Unregistered", times=1)
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        for _ in range(3):
            client.push(headers)
        found = samples(sandbox)

    assert 2 == found["wakegate_sandbox_answers_total", (("provider", "apns"), ("status", "200"))]
    assert 1 == found["wakegate_sandbox_answers_total", (("provider", "apns"), ("status", "410"))]
    assert 1 == found["wakegate_sandbox_connections_to_total", (("address", "127.0.0.1"), ("provider", "apns"))]
    assert 3 == found["wakegate_sandbox_apns_streams_total", ()]
    assert 1 == found["wakegate_sandbox_apns_connections_open", ()]
    assert 1 == found["wakegate_sandbox_apns_connections_peak_per_minute", ()]


def test_no_metric_names_a_device(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.push(headers_for(provider_token(sandbox)))

    assert DEVICE not in control(sandbox, "GET", "/metrics").body.decode()


def test_everything_can_be_forgotten_at_once(sandbox: Sandbox) -> None:
    sandbox.arm_apns(reason="ServiceUnavailable")
    control(sandbox, "POST", "/control/settings", {"apns_strict_devices": True})
    control(sandbox, "POST", f"/control/apns/devices/{DEVICE}", {"online": False})
    control(sandbox, "POST", "/control/reset")

    assert not sandbox.behaviour.apns_strict_devices
    assert [] == sandbox.apns_devices.listing()
    assert [] == control(sandbox, "GET", "/control/faults").json()["faults"]
