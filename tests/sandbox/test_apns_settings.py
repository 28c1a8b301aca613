"""APNs: what changes on a connection while it is open, and frames that are right and unusual."""

import json

import gevent
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hyperframe.frame import ContinuationFrame

from tests.sandbox.clients import DEVICE, ApnsClient, control, headers_for, provider_token
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Sandbox

OTHER_DEVICE = "b2" * 32
LONG = json.dumps({"aps": {"alert": "x" * 3000}}).encode()


def test_another_number_of_streams_is_offered_in_the_middle_of_a_connection(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.push(headers_for(provider_token(sandbox)))
        for number in (5, 500):
            control(sandbox, "POST", "/control/settings", {"apns_max_concurrent_streams": number})
            while client.settings[-1] != number:
                client.read()

    assert [1, 1000, 5, 500] == client.settings


def test_a_connection_without_a_valid_token_is_offered_one_stream_whatever_changes(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.push(headers_for("garbled"))
        control(sandbox, "POST", "/control/settings", {"apns_max_concurrent_streams": 5})
        client.push(headers_for("garbled"))

    assert [1] == client.settings


def test_the_window_shrinks_in_the_middle_of_a_connection(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        client.push(headers)
        control(sandbox, "POST", "/control/settings", {"apns_initial_window_size": 100})
        client.read_until(lambda: client.h2.remote_settings[SettingCodes.INITIAL_WINDOW_SIZE] == 100)
        reply = client.push(headers, LONG)

    assert 200 == reply.status


def test_a_client_starves_without_window_updates_until_they_come_again(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_initial_window_size=1000, apns_window_updates=False)
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        client.read_until(lambda: client.settings == [1])
        sending = gevent.spawn(client.push, headers, LONG)
        gevent.sleep(0.3)
        was_starving = not sending.ready()
        control(sandbox, "POST", "/control/settings", {"apns_window_updates": True})
        reply = sending.get(timeout=20)

    assert was_starving
    assert 200 == reply.status


def test_a_connection_can_fall_silent_and_speak_again(sandbox: Sandbox) -> None:
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        client.push(headers)
        control(sandbox, "POST", "/control/settings", {"apns_frozen": True})
        pending = gevent.spawn(client.push, headers, device=OTHER_DEVICE)
        received = sandbox.record.wait(timeout_s=20, token=OTHER_DEVICE)
        gevent.sleep(0.2)
        was_silent = not pending.ready()
        control(sandbox, "POST", "/control/settings", {"apns_frozen": False})
        reply = pending.get(timeout=20)

    assert [200] == [push.status for push in received]
    assert was_silent
    assert 200 == reply.status


def test_a_ping_of_the_client_is_answered(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client:
        client.h2.ping(b"12345678")
        client.flush()
        client.read_until(lambda: client.pongs == [b"12345678"])

    assert [b"12345678"] == client.pongs


def test_the_sandbox_pings_all_connections_and_says_how_many_answer(sandbox: Sandbox) -> None:
    with ApnsClient(sandbox) as client, ApnsClient(sandbox) as deaf:
        client.push(headers_for(provider_token(sandbox)))
        deaf.read()
        asking = gevent.spawn(sandbox.ping, 1.0)
        reading = gevent.spawn(client.read_until, lambda: asking.ready())
        answers = asking.get(timeout=20)
        reading.kill()

    assert 2 == len(answers)
    assert 1 == len([seconds for seconds in answers if seconds is not None])


def test_nobody_to_ping_is_said_as_well(sandbox: Sandbox) -> None:
    assert {"connections": 0, "answered": 0, "slowest_s": None} == control(sandbox, "POST", "/control/apns/ping").json()


@pytest.mark.parametrize(("size", "is_taken"), [(3000, True), (12_000, False)])
def test_a_header_list_has_its_bound(sandbox: Sandbox, size: int, is_taken: bool) -> None:
    headers = headers_for(provider_token(sandbox)) | {"x-long": "x" * size}
    with ApnsClient(sandbox) as client:
        client.read_until(lambda: client.settings == [1])
        stream = client.start(headers)
        client.read_until(lambda: client.replies[stream].is_complete or bool(client.goaways))

    assert is_taken == (client.replies[stream].status == 200)
    assert is_taken == (not client.goaways)


@pytest.mark.parametrize("reason", ["", "BadTopic"])
def test_a_header_block_can_be_continued(sandbox: Sandbox, reason: str) -> None:
    sandbox.arm_apns(DEVICE, reason=reason, header_frames="continuation", times=1)
    headers = headers_for(provider_token(sandbox), apns_id="aaaaaaaa-1111-2222-3333-444444444444")
    with ApnsClient(sandbox) as client:
        continued, usual = client.push(headers), client.push(headers)

    assert (400 if reason else 200, reason) == (continued.status, continued.reason)
    assert "aaaaaaaa-1111-2222-3333-444444444444" == continued.headers["apns-id"]
    assert 200 == usual.status
    assert 2 == client.frame_types().count(ContinuationFrame.type)


def test_a_body_can_trickle(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, reason="ServiceUnavailable", slow_s=0.2, times=1)
    with ApnsClient(sandbox) as client:
        reply = client.push(headers_for(provider_token(sandbox)))

    assert (503, "ServiceUnavailable") == (reply.status, reply.reason)
    assert len(reply.data_frames) > 5


def test_many_bad_tokens_end_a_connection_and_removed_apps_do_not(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(apns_errors_before_disconnect=15)
    headers = headers_for(provider_token(sandbox))
    gone, bad = "dead4100".ljust(64, "0"), "dead4000".ljust(64, "0")
    with ApnsClient(sandbox) as client:
        for _ in range(20):
            client.push(headers, device=gone)
        client.push(headers, device=bad)
        client.push(headers, device=bad)
        were_told_before = list(client.goaways)
        last = client.push(headers, device=bad)
        client.read_to_end()

    assert not were_told_before
    assert 400 == last.status
    assert {"reason": "BadDeviceToken"} == json.loads(client.goaways[0].additional_data or b"")
    assert ErrorCodes.NO_ERROR == client.goaways[0].error_code
    assert 1 == sandbox.stats()["apns_disconnects_for_errors"]


def test_a_push_can_be_taken_though_its_answer_is_lost(sandbox: Sandbox) -> None:
    sandbox.arm_apns(DEVICE, action="close", accepted=True, times=1)
    headers = headers_for(provider_token(sandbox), apns_id="aaaaaaaa-1111-2222-3333-444444444444")
    for _ in range(2):
        with ApnsClient(sandbox) as client:
            stream = client.start(headers)
            while not (client.replies[stream].is_complete or client.is_closed):
                client.read()

    assert [(0, True), (200, True)] == [(push.status, push.accepted) for push in sandbox.record.since(0)]
    assert 1 == sandbox.stats()["apns_duplicates"]
    assert 2 == len(sandbox.deliveries.since(0, event="delivered"))


def test_a_request_that_its_client_takes_back_at_once_harms_no_other(sandbox: Sandbox) -> None:
    sandbox.arm_apns(OTHER_DEVICE, action="reset")
    headers = headers_for(provider_token(sandbox))
    with ApnsClient(sandbox) as client:
        client.push(headers)
        stream = client.h2.get_next_available_stream_id()
        line = [(":method", "POST"), (":scheme", "https"), (":path", f"/3/device/{OTHER_DEVICE}"), (":authority", "x")]
        client.h2.send_headers(stream, [*line, *headers.items()])
        client.h2.send_data(stream, b'{"aps":{}}', end_stream=True)
        client.h2.reset_stream(stream, ErrorCodes.CANCEL)
        # All of it in one piece: the sandbox learns of the request and of its end at the same moment.
        client.flush()
        reply = client.push(headers)

    assert 200 == reply.status
    assert 1 == sandbox.stats()["apns_connections"]
