"""APNs: HTTP/2 as a server may behave, good and bad."""

import json
import socket
import ssl
import time

import pytest

from tests.sandbox.clients import DEVICE, TIMEOUT_S, ApnsClient, control, headers_for, provider_token
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Sandbox

OTHER_DEVICE = "b2" * 32


def connect_tls(sandbox: Sandbox, protocols: list[str]) -> ssl.SSLSocket:
    host, port = sandbox.addresses["apns"].rsplit(":", 1)
    context = ssl.create_default_context(cafile=str(sandbox.material.ca_file))
    if protocols:
        context.set_alpn_protocols(protocols)
    plain = socket.create_connection((host, int(port)), timeout=TIMEOUT_S)
    return context.wrap_socket(plain, server_hostname=host)


@pytest.mark.parametrize("protocols", [[], ["http/1.1"]])
def test_http_1_1_is_refused(sandbox: Sandbox, protocols: list[str]) -> None:
    with connect_tls(sandbox, protocols) as sock:
        answer = b""
        try:
            sock.sendall(b"POST /3/device/aa HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n")
            answer = sock.recv(100)
        except (ConnectionError, ssl.SSLError):
            pass

    assert b"" == answer
    assert 1 == sandbox.stats()["apns_not_h2"]


def test_h2_is_chosen_where_both_are_offered(sandbox: Sandbox) -> None:
    with connect_tls(sandbox, ["http/1.1", "h2"]) as sock:
        assert "h2" == sock.selected_alpn_protocol()


def test_one_stream_is_offered_until_a_valid_token_was_seen(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.push(headers_for("garbled"))
        before = list(client.settings)
        client.push(headers_for(provider_token(sandbox)))
        client.read_until(lambda: len(client.settings) > 1)

    assert [1] == before
    assert [1, 1000] == client.settings


def test_a_certificate_is_offered_all_streams_at_once(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_max_concurrent_streams=17)
    with ApnsClient(sandbox, with_certificate=True) as client:
        client.push(headers_for("", authorization=None))

    assert [17] == client.settings


def test_a_client_that_ignores_the_limit_is_sent_away(sandbox: Sandbox) -> None:
    sandbox.arm_apns(action="ignore")
    headers = headers_for(provider_token(sandbox))
    sandbox.behaviour = Behaviour(apns_max_concurrent_streams=2)
    with ApnsClient(sandbox) as client:
        client.read_until(lambda: client.settings == [1])
        client.start(headers)
        client.read_until(lambda: client.settings == [1, 2])
        client.h2.remote_settings[3] = 100
        client.h2.remote_settings.acknowledge()
        for _ in range(3):
            client.start(headers)
        client.read_until(lambda: bool(client.goaways))

    assert 1 == client.goaways[0].error_code


def test_streams_narrow_after_a_refused_push_and_widen_after_an_accepted_one(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_narrow_after_refusal=True, apns_max_concurrent_streams=50)
    sandbox.arm_apns(OTHER_DEVICE, reason="BadDeviceToken")
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        for device in (DEVICE, OTHER_DEVICE, DEVICE):
            client.push(headers, device=device)
        client.read_until(lambda: len(client.settings) > 3)

    assert [1, 50, 1, 50] == client.settings


def test_goaway_leaves_later_streams_unprocessed_and_answers_earlier_ones(sandbox: Sandbox) -> None:
    """RFC 9113 section 6.8: what is above last_stream_id was not looked at and may be sent again elsewhere."""
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        client.push(headers)
        client.read_until(lambda: len(client.settings) > 1)
        sandbox.arm_apns(DEVICE, delay_s=0.3)
        sandbox.arm_apns(OTHER_DEVICE, action="goaway", reason="Shutdown", times=1)
        earlier = client.start(headers)
        trigger = client.start(headers, device=OTHER_DEVICE)
        later = client.start(headers)
        client.read_to_end()

    [goaway] = client.goaways
    assert earlier == goaway.last_stream_id == trigger - 2
    assert {"reason": "Shutdown"} == json.loads(goaway.additional_data or b"")
    assert 200 == client.replies[earlier].status
    assert [0, 0] == [client.replies[stream].status for stream in (trigger, later)]
    assert [(200, 1), (0, trigger), (200, earlier)] == [(p.status, p.stream) for p in sandbox.record.since(0)]


def test_goaway_can_be_armed_for_every_nth_request(sandbox: Sandbox) -> None:
    control(sandbox, "POST", "/control/apns/faults", {"action": "goaway", "every": 3})
    headers = headers_for(provider_token(sandbox))
    answered = 0
    for _ in range(3):
        with ApnsClient(sandbox) as client:
            while True:
                stream = client.start(headers)
                client.read()
                while not (client.replies[stream].is_complete or client.goaways):
                    client.read()
                if client.goaways:
                    break
                answered += 1

    assert 6 == answered
    assert 3 == sandbox.stats()["apns_goaways"]


def test_a_graceful_goaway_is_said_twice(sandbox: Sandbox) -> None:
    sandbox.arm_apns(action="goaway", graceful=True, times=1)
    with ApnsClient(sandbox) as client:
        client.start(headers_for(provider_token(sandbox)))
        client.read_to_end()

    assert [2**31 - 1, 0] == [goaway.last_stream_id for goaway in client.goaways]


def test_goaway_can_be_sent_on_all_connections(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.push(headers_for(provider_token(sandbox)))
        told = control(sandbox, "POST", "/control/apns/goaway?reason=Shutdown")
        client.read_to_end()

    assert {"connections": 1} == told.json()
    assert 1 == client.goaways[0].last_stream_id


def test_a_stream_can_be_refused(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, action="reset", times=1)
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        refused = client.push(headers)
        again = client.push(headers)

    assert (7, 200) == (refused.reset, again.status)


def test_a_connection_can_break_in_the_middle(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, action="close", times=1)
    with ApnsClient(sandbox) as client:
        stream = client.start(headers_for(provider_token(sandbox)))
        client.read_to_end()

    assert not client.goaways
    assert not client.replies[stream].is_complete
    assert [(0, "close")] == [(push.status, push.reason) for push in sandbox.record.since(0)]


def test_an_answer_can_be_late_and_does_not_hold_up_others(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, delay_s=0.5, reason="ServiceUnavailable")
    headers = headers_for(provider_token(sandbox))
    start = time.monotonic()
    with ApnsClient(sandbox) as client:
        client.push(headers, device=OTHER_DEVICE)
        client.read_until(lambda: len(client.settings) > 1)
        late = client.start(headers)
        prompt = client.push(headers, device=OTHER_DEVICE)
        was_late_still_open = not client.replies[late].is_complete
        reply = client.reply(late)

    assert 200 == prompt.status
    assert was_late_still_open
    assert (503, "ServiceUnavailable") == (reply.status, reply.reason)
    assert time.monotonic() - start >= 0.5


def test_a_request_can_stay_without_an_answer(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, action="ignore", times=1)
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        silent = client.start(headers)
        client.read_until(lambda: len(client.settings) > 1)
        answered = client.push(headers)

    assert (0, 200) == (client.replies[silent].status, answered.status)


@pytest.mark.parametrize(
    ("form", "frames"),
    [
        ("whole", [b'{"reason":"BadTopic"}']),
        ("split", [b'{"reason":', b"", b'"BadTopic"}']),
        ("empty", [b'{"reason":"BadTopic"}', b""]),
        ("none", []),
        ("truncated", [b'{"reason":']),
    ],
)
def test_the_body_comes_in_the_frames_that_were_asked_for(sandbox: Sandbox, form: str, frames: list[bytes]) -> None:
    sandbox.arm_apns(DEVICE, reason="BadTopic", data=form, times=1)
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox)))

    assert 400 == reply.status
    assert frames == reply.data_frames


def test_an_accepted_push_can_end_with_an_empty_data_frame(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, data="empty", times=1)
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        replies = [client.push(headers), client.push(headers)]

    assert [200, 200] == [reply.status for reply in replies]
    assert [[b""], []] == [reply.data_frames for reply in replies]


def test_a_small_window_makes_a_client_wait_for_window_updates(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_initial_window_size=64)
    with ApnsClient(sandbox) as client:
        client.read_until(lambda: client.settings == [1])
        reply = client.push(headers_for(provider_token(sandbox)), json.dumps({"aps": {"alert": "x" * 3000}}).encode())

    assert 200 == reply.status
    assert "x" * 3000 == sandbox.record.since(0)[0].payload["aps"]["alert"]


def test_an_answer_waits_for_the_clients_window(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.h2.update_settings({4: 5})
        client.flush()
        stream = client.start(headers_for("garbled"))
        client.read_until(lambda: client.replies[stream].status == 403)
        was_held_back = not client.replies[stream].data_frames
        client.h2.increment_flow_control_window(1000, stream)
        client.flush()
        reply = client.reply(stream)

    assert was_held_back
    assert "InvalidProviderToken" == reply.reason


def test_an_idle_connection_is_told_so(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_idle_timeout_s=0.2)
    with ApnsClient(sandbox) as client:
        client.read_to_end()

    assert {"reason": "IdleTimeout"} == json.loads(client.goaways[0].additional_data or b"")


def test_bytes_that_are_not_http_2_end_the_connection_only(sandbox: Sandbox) -> None:
    with connect_tls(sandbox, ["h2"]) as sock:
        sock.sendall(b"\x00" * 100)
        answer = b"".join(iter(lambda: sock.recv(1000), b""))
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox)))

    assert b"reason" in answer
    assert 200 == reply.status


def test_requests_connections_and_duplicates_are_counted(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox), apns_id="aaaaaaaa-1111-2222-3333-444444444444")
    for _ in range(2):
        with ApnsClient(sandbox) as client:
            client.push(headers)

    stats = sandbox.stats()
    assert (2, 2, 1) == (stats["apns_connections"], stats["apns_streams"], stats["apns_duplicates"])
    assert 1 == stats["apns_provider_tokens"]
