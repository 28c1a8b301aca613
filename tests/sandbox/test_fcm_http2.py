"""FCM over HTTP/2: over TLS by ALPN, in the clear by prior knowledge, with 100 streams at a time."""

import http.client
import json
import ssl

import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes

from tests.sandbox.clients import TIMEOUT_S, access_token, control, send_to_fcm
from tests.sandbox.fcm_client import PATH, FcmClient
from workers.sandbox.behaviour import Behaviour
from workers.sandbox.server import Sandbox


@pytest.mark.parametrize("tls", [False, True])
def test_messages_go_over_one_connection(sandbox: Sandbox, tls: bool) -> None:
    with FcmClient(sandbox, access_token(sandbox), tls=tls) as client:
        streams = [client.begin({"token": f"device-{number}"}) for number in range(30)]
        answers = [client.reply(stream) for stream in streams]

    assert [200] * 30 == [answer.status for answer in answers]
    assert {"projects"} == {json.loads(answer.body)["name"].split("/")[0] for answer in answers}
    assert streams == sorted(push.stream for push in sandbox.record.since(0))
    assert 1 == len({push.connection for push in sandbox.record.since(0)})
    assert 30 == sandbox.stats()["fcm_streams"]


def test_http_1_1_is_spoken_on_the_same_port_with_and_without_tls(sandbox: Sandbox) -> None:
    host, port = sandbox.addresses["fcm"].rsplit(":", 1)
    context = ssl.create_default_context(cafile=str(sandbox.material.ca_file))
    connection = http.client.HTTPSConnection(host, int(port), timeout=TIMEOUT_S, context=context)
    headers = {"Authorization": f"Bearer {access_token(sandbox)}"}
    body = json.dumps({"message": {"token": "device"}})
    statuses = []
    for _ in range(2):
        connection.request("POST", PATH, body, headers)
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert [200, 200] == statuses
    assert 200 == send_to_fcm(sandbox, {"message": {"token": "device"}}).status


def test_errors_have_googles_structure_over_http2_too(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("busy", reason="UNAVAILABLE", retry_after_s=7)
    with FcmClient(sandbox, access_token(sandbox)) as client:
        gone, busy = client.send("fail-UNREGISTERED-x"), client.send("busy")

    assert (404, "UNREGISTERED") == (gone.status, json.loads(gone.body)["error"]["details"][0]["errorCode"])
    assert (503, "7") == (busy.status, busy.headers["retry-after"])


def test_a_hundred_streams_are_offered(sandbox: Sandbox) -> None:
    with FcmClient(sandbox, access_token(sandbox)) as client:
        client.send("device")

    assert [100] == client.settings


def test_more_streams_than_offered_draw_goaway_and_the_offered_ones_are_answered(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("", delay_s=0.5)
    with FcmClient(sandbox, access_token(sandbox)) as client:
        # A client that does not look at what it is offered.
        client.h2.remote_settings[SettingCodes.MAX_CONCURRENT_STREAMS] = 1000
        client.h2.remote_settings.acknowledge()
        streams = [client.begin({"token": f"device-{number}"}) for number in range(103)]
        answered = [client.reply(stream) for stream in streams[:100]]
        client.read_to_end()

    assert [200] * 100 == [answer.status for answer in answered]
    assert not any(client.replies[stream].is_complete for stream in streams[100:])
    goaway = client.goaways[0]
    assert (ErrorCodes.ENHANCE_YOUR_CALM, b"exceeded_max_concurrent_streams", streams[99]) == (
        goaway.error_code,
        goaway.additional_data,
        goaway.last_stream_id,
    )
    assert 100 == len(sandbox.record.since(0))


def test_a_stream_can_be_refused_and_the_next_one_is_answered(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("device", action="reset", times=1)
    with FcmClient(sandbox, access_token(sandbox)) as client:
        refused, accepted = client.send("device"), client.send("device")

    assert (ErrorCodes.REFUSED_STREAM, 200) == (refused.reset, accepted.status)
    assert [0, 200] == [push.status for push in sandbox.record.since(0)]


def test_a_goaway_leaves_the_request_that_met_it_unprocessed(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("device", action="goaway", reason="max_age", times=1)
    with FcmClient(sandbox, access_token(sandbox)) as client:
        client.send("other")
        client.begin({"token": "device"})
        client.read_to_end()

    assert [(b"max_age", 1)] == [(goaway.additional_data, goaway.last_stream_id) for goaway in client.goaways]
    assert [200, 0] == [push.status for push in sandbox.record.since(0)]


def test_all_connections_are_told_to_go_away_by_the_control_port(sandbox: Sandbox) -> None:
    with FcmClient(sandbox, access_token(sandbox)) as client:
        client.send("device")
        answer = control(sandbox, "POST", "/control/fcm/goaway?reason=session_timed_out").json()
        client.read_to_end()

    assert {"connections": 1} == answer
    assert [(b"session_timed_out", 1)] == [(g.additional_data, g.last_stream_id) for g in client.goaways]


def test_a_body_can_break_off_or_trickle(sandbox: Sandbox) -> None:
    sandbox.arm_fcm("broken", data="truncated")
    sandbox.arm_fcm("slow", slow_s=0.2)
    with FcmClient(sandbox, access_token(sandbox)) as client:
        broken, slow = client.send("broken"), client.send("slow")

    assert (200, False, ErrorCodes.INTERNAL_ERROR) == (broken.status, broken.is_complete, broken.reset)
    assert 200 == slow.status
    assert len(slow.data_frames) > 5
    assert json.loads(slow.body)["name"]


def test_fewer_streams_can_be_offered(sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(fcm_max_concurrent_streams=3)
    with FcmClient(sandbox, access_token(sandbox)) as client:
        client.send("device")

    assert [3] == client.settings
