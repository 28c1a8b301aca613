"""The client's own reading of a stream."""

import pytest

from gateway.demo.xml_reader import StreamReader, UnreadableStream

STREAMS = b"http://etherx.jabber.org/streams"
HEAD = b"<?xml version='1.0'?><stream:stream xmlns='jabber:client' xmlns:stream='" + STREAMS + b"' id='s1'>"
MESSAGE = "<message to='a@b' xml:lang='de'><body>Grüße <b xmlns='x:y'/> &amp; mehr</body></message>".encode()


def test_elements_are_the_same_however_the_bytes_are_cut() -> None:
    data = HEAD + MESSAGE + b" \n " + MESSAGE + b"<presence/>"

    for size in (1, 2, 3, 7, 50, len(data)):
        reader = StreamReader()
        found = [element for at in range(0, len(data), size) for element in reader.feed(data[at : at + size])]

        assert ["{jabber:client}message", "{jabber:client}message", "{jabber:client}presence"] == [e.tag for e in found]
        assert {"id": "s1"} == reader.header
        assert "Grüße " == found[0].findtext("{jabber:client}body")
        assert " & mehr" == found[0][0][0].tail


def test_an_element_is_given_with_its_last_byte() -> None:
    reader = StreamReader()

    before = reader.feed(HEAD + MESSAGE[:-1])
    after = reader.feed(MESSAGE[-1:])

    assert (0, 1) == (len(before), len(after))


def test_the_end_of_the_stream_is_told_after_what_came_before_it() -> None:
    reader = StreamReader()

    found = reader.feed(HEAD + b"<presence/></stream:stream>")

    assert (1, True) == (len(found), reader.ended)


@pytest.mark.parametrize("data", [b"<html/>", HEAD + b"<a></b>", HEAD + b"\xff"])
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableStream):
        StreamReader().feed(data)
