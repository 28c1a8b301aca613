"""What the values of push look like in an exception's text or a debugger's line: nothing of whom they concern."""

from __future__ import annotations

from gateway.mailbox.entry import decode
from gateway.mailbox.push_model import Event, Registration, Send, Waiting
from tests.push.builders import a_push

SECRETS = (
    "juliet",
    "romeo",
    "wherefore",
    "a-token",
    "a-voip-token",
    "a-node",
    "a-p256dh",
    "an-auth",
    "a-key",
    "a-call",
)


def test_no_value_shows_tokens_keys_jids_or_bodies() -> None:
    registration = Registration(
        service="juliet.example", node="a-node", sid="s1", resource="juliets phone", app="chat", token="a-token",
        voip_token="a-voip-token", p256dh="a-p256dh", auth="an-auth", key="a-key", form="romeo",
    )  # fmt: skip
    event = Event(
        bucket=1, stream_id="1-0", id="1-0", user="juliet@localhost", sid="s1", reason="r", gen="1", kind="call",
        at_ms=1, only="romeo\na-node", call="a-call", rang="juliet",
    )  # fmt: skip
    entry = decode(b"mw|1||<message from='romeo@localhost'><body>wherefore</body></message>")
    send = Send(
        registrations=(registration,), count=1, waiting=(Waiting(entry, "both"),), rules={"romeo@localhost": b"{}"}
    )
    push = a_push(token="a-token", sender="romeo@localhost", body="wherefore", node="a-node", registration=registration)
    shown = f"{registration!r} {event!r} {send!r} {push!r} {registration} {event} {send} {push}"

    assert [] == [secret for secret in SECRETS if secret in shown]
