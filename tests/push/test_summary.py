"""What may be told of the newest waiting message."""

from __future__ import annotations

import pytest

from workers.push.summary import Summary, summary


@pytest.mark.parametrize(
    ("stanza", "expected"),
    [
        (
            "<message from='romeo@localhost/garden' type='chat'><body>O &amp; \U0001f339</body></message>",
            Summary("romeo@localhost", "O & \U0001f339"),
        ),
        (
            "<message from='room@muc.localhost/romeo' type='groupchat'><body>hi</body></message>",
            Summary("room@muc.localhost/romeo", "hi"),
        ),
        (
            "<message from='a@b'><body xml:lang='de'>ja</body><body>yes</body></message>",
            Summary("a@b", "yes"),
        ),
        ("<message from='a@b'><body xml:lang='de'>ja</body></message>", Summary("a@b", "ja")),
        ("<message from='a@b'><encrypted xmlns='eu.siacs.conversations.axolotl'/></message>", Summary("a@b", None)),
        ("<message from='a@b'><body/></message>", Summary("a@b", None)),
        ("<message/>", Summary()),
        ("<message><body>cut", Summary()),
        ("<iq/>", Summary()),
        ("", Summary()),
    ],
)
def test_sender_and_body_are_read_as_a_person_would_name_them(stanza: str, expected: Summary) -> None:
    told = summary(stanza.encode())

    assert (expected.sender, expected.body) == (told.sender, told.body)


def test_a_summary_hides_what_it_holds() -> None:
    assert "Summary()" == repr(Summary("romeo@localhost", "a secret"))
