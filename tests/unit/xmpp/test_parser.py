"""RFC 6120 §4: what a stream says."""

from __future__ import annotations

import pytest

from gateway.xmpp.element import Element
from gateway.xmpp.errors import StreamCondition, StreamError
from gateway.xmpp.event import StreamClosed, StreamOpened
from gateway.xmpp.parser import ParserLimits, StreamParser
from tests.unit.xmpp.builders import HEADER, a_message, all_of, condition_of, opened


def test_the_header_opens_the_stream() -> None:
    (event,) = StreamParser().feed(HEADER)

    assert event == StreamOpened({"to": "localhost", "version": "1.0", "xml:lang": "en"}, "jabber:client", "en")


def test_white_space_may_come_before_the_header_and_between_stanzas() -> None:
    events, error = all_of(StreamParser(), b" \n", b"\t", HEADER, b" ", b"<r/> \r\n <a/>\n", b" </stream:stream> \n")

    assert error is None
    assert ["r", "a"] == [event.name for event in events if isinstance(event, Element)]
    assert StreamClosed() == events[-1]


def test_a_stanza_is_the_bytes_it_came_as() -> None:
    stanza = b"<message id='>' ><body>a &amp; \xc3\xbc<![CDATA[</message>]]></body>\r\n</message >"

    (found,) = opened().feed(stanza)

    assert isinstance(found, Element)
    assert stanza == found.raw
    assert stanza.index(b"<body>") == found.head


def test_a_stanza_that_begins_behind_another_may_end_in_the_next_segment() -> None:
    stanza = a_message("x" * 100)

    events, error = all_of(StreamParser(), HEADER + stanza + stanza[:50], stanza[50:] + stanza[:90], stanza[90:])

    assert error is None
    assert [stanza] * 3 == [event.raw for event in events if isinstance(event, Element)]


def test_a_stanza_may_come_byte_by_byte() -> None:
    stream = HEADER + a_message("ü" * 50) + b" " + a_message("second") + b"</stream:stream>"

    in_pieces = all_of(StreamParser(), *[stream[at : at + 1] for at in range(len(stream))])

    assert all_of(StreamParser(), stream) == in_pieces
    assert 4 == len(in_pieces[0])


def test_an_empty_stanza_before_the_end_of_the_stream_ends_with_its_tag() -> None:
    events, error = all_of(opened(), b"<presence/></stream:stream>")

    assert error is None
    assert isinstance(events[0], Element)
    assert b"<presence/>" == events[0].raw
    assert StreamClosed() == events[1]


def test_a_client_reads_features_and_stream_errors() -> None:
    events, error = all_of(opened(), b"<stream:features/><stream:error><conflict xmlns='urn:x'/></stream:error>")

    assert error is None
    assert [("http://etherx.jabber.org/streams", "features"), ("http://etherx.jabber.org/streams", "error")] == [
        (event.ns, event.name) for event in events if isinstance(event, Element)
    ]


def test_the_stream_namespace_may_be_the_default() -> None:
    stream = b"<stream xmlns='http://etherx.jabber.org/streams'><iq xmlns='jabber:client'/></stream>"

    (header, iq, _), error = all_of(StreamParser(), stream)

    assert error is None
    assert StreamOpened({}, "http://etherx.jabber.org/streams", "") == header
    assert isinstance(iq, Element) and iq.is_stanza


def test_another_content_namespace_is_one_if_it_is_asked_for() -> None:
    header = HEADER.replace(b"jabber:client", b"jabber:server")

    assert StreamCondition.INVALID_NAMESPACE == condition_of(StreamParser(), header)
    assert condition_of(StreamParser(content=frozenset({"jabber:server"})), header) is None


def test_what_follows_the_end_of_the_stream_is_ignored() -> None:
    parser = opened()

    assert ([StreamClosed()], None) == all_of(parser, b"</stream:stream><junk", b"<message/>")


def test_events_before_a_fault_are_delivered_and_then_the_fault_again_and_again() -> None:
    parser = opened()

    events, error = all_of(parser, a_message() + b"<a></b>" + a_message())

    assert 1 == len(events)
    assert error is not None and StreamCondition.NOT_WELL_FORMED == error.condition
    with pytest.raises(StreamError):
        parser.next_event()
    assert StreamCondition.NOT_WELL_FORMED == condition_of(parser, a_message())


FAULTS = [
    (b"<message>", b"</presence>", StreamCondition.NOT_WELL_FORMED),
    (b"<message to='a' ", b"to='b'/>", StreamCondition.NOT_WELL_FORMED),
    (b"<message to=", b"a/>", StreamCondition.NOT_WELL_FORMED),
    (b"<message xmlns:a='u' xmlns:b='u' ", b"a:x='' b:x=''/>", StreamCondition.NOT_WELL_FORMED),
    (b"<message>\xff", b"\xfe</message>", StreamCondition.NOT_WELL_FORMED),
    (b"<message>\xed\xa0", b"\x80</message>", StreamCondition.NOT_WELL_FORMED),
    (b"<message>\xc0", b"\x80</message>", StreamCondition.NOT_WELL_FORMED),
    (b"<message>&#", b"0;</message>", StreamCondition.NOT_WELL_FORMED),
    (b"<message>\x00", b"</message>", StreamCondition.NOT_WELL_FORMED),
    (b"<message>]]", b"></message>", StreamCondition.NOT_WELL_FORMED),
    (b"</stream:str", b"eams>", StreamCondition.NOT_WELL_FORMED),
    (b"<message><!-- a ", b"--></message>", StreamCondition.RESTRICTED_XML),
    (b"<!-- a ", b"-->", StreamCondition.RESTRICTED_XML),
    (b"<message><?php ", b"?></message>", StreamCondition.RESTRICTED_XML),
    (b"<?xml version='1.0'", b"?>", StreamCondition.RESTRICTED_XML),
    (b"<!DOCTYPE ", b"x>", StreamCondition.RESTRICTED_XML),
    (b"<message>&eu", b"ro;</message>", StreamCondition.RESTRICTED_XML),
    (b"<message to='&eu", b"ro;'/>", StreamCondition.RESTRICTED_XML),
    (b"<p:mess", b"age/>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"<message><p:x", b"/></message>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"<message p:a", b"=''/>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"<message xmlns:p=", b"''/>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"<message xmlns:xml=", b"'urn:x'/>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"<message xmlns:xmlns=", b"'urn:x'/>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"<c:message xmlns:c='jabber:", b"client'/>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"text", b" <message/>", StreamCondition.BAD_FORMAT),
    (b"<message/> te", b"xt <message/>", StreamCondition.BAD_FORMAT),
    (b"text", b"</stream:stream>", StreamCondition.BAD_FORMAT),
    (b"text", b" <a></b>", StreamCondition.BAD_FORMAT),
    (b"text", b"</stream:streams>", StreamCondition.BAD_FORMAT),
    (b"&amp;", b"<message/>", StreamCondition.BAD_FORMAT),
    (b"<![CDATA[ ]]>", b"<message/>", StreamCondition.BAD_FORMAT),
]


@pytest.mark.parametrize(("begin", "end", "condition"), FAULTS)
def test_a_fault_has_its_stream_error_however_it_comes(begin: bytes, end: bytes, condition: StreamCondition) -> None:
    whole = begin + end

    assert condition == condition_of(opened(), whole)
    assert condition == condition_of(opened(), begin, end)
    assert condition == condition_of(opened(), *[whole[at : at + 1] for at in range(len(whole))])


OPENINGS = [
    (b"GET / HTTP/1.1\r\n\r\n", StreamCondition.NOT_WELL_FORMED),
    (b"\x16\x03\x01\x02", StreamCondition.NOT_WELL_FORMED),
    (b"\xef\xbb\xbf" + HEADER, StreamCondition.UNSUPPORTED_ENCODING),
    (HEADER.decode().encode("utf-16"), StreamCondition.UNSUPPORTED_ENCODING),
    (HEADER.decode().encode("utf-16-be"), StreamCondition.UNSUPPORTED_ENCODING),
    (b"<?xml version='1.0' encoding='ISO-8859-1'?>", StreamCondition.UNSUPPORTED_ENCODING),
    (b"<?xml version='1.0' encoding='UTF-16'?>", StreamCondition.UNSUPPORTED_ENCODING),
    (b"<!DOCTYPE stream [<!ENTITY a 'b'>]>" + HEADER, StreamCondition.RESTRICTED_XML),
    (b"<!DOCTYPE stream SYSTEM 'http://localhost/'>", StreamCondition.RESTRICTED_XML),
    (b"<!-- a -->" + HEADER, StreamCondition.RESTRICTED_XML),
    (b"<?php ?>" + HEADER, StreamCondition.RESTRICTED_XML),
    (b"<stream:stream xmlns='jabber:client'>", StreamCondition.BAD_NAMESPACE_PREFIX),
    (b"<stream:stream xmlns='jabber:client' xmlns:stream='urn:x'>", StreamCondition.INVALID_NAMESPACE),
    (b"<message xmlns='jabber:client'/>", StreamCondition.INVALID_NAMESPACE),
    (HEADER.replace(b"jabber:client", b"jabber:nonsense"), StreamCondition.INVALID_NAMESPACE),
    (HEADER.replace(b"stream:stream ", b"stream:flow "), StreamCondition.INVALID_XML),
]


@pytest.mark.parametrize(("opening", "condition"), OPENINGS)
def test_a_stream_that_does_not_begin_as_one_is_refused(opening: bytes, condition: StreamCondition) -> None:
    assert condition == condition_of(StreamParser(), opening)


@pytest.mark.parametrize(
    "declaration", [b"", b"<?xml version='1.0' encoding='UTF-8'?>", b"<?xml version='1.0' encoding='utf-8' ?>\n"]
)
def test_utf_8_may_be_declared(declaration: bytes) -> None:
    header = declaration + HEADER.removeprefix(b"<?xml version='1.0'?>")

    assert condition_of(StreamParser(), header) is None


def test_a_restart_reads_what_came_in_the_same_segment() -> None:
    parser = opened()
    names = []

    for event in parser.feed(b"<auth/>" + HEADER + b"<iq/>"):
        if isinstance(event, Element):
            names.append(event.name)
            if event.name == "auth":
                parser.restart()
        else:
            names.append(type(event).__name__)

    assert ["auth", "StreamOpened", "iq"] == names


def test_a_restart_reads_with_the_limits_set_before_it() -> None:
    parser = opened(ParserLimits(stanza_bytes=20))
    parser.push(b"<auth/>" + HEADER + a_message())
    parser.next_event()
    parser.set_limits(ParserLimits())
    parser.restart()

    events, error = all_of(parser)
    events.extend(event for event in (parser.next_event(), parser.next_event()) if event is not None)

    assert error is None
    assert [StreamOpened, Element] == [type(event) for event in events]


def test_what_came_before_the_handshake_may_be_dropped() -> None:
    parser = opened()
    parser.push(b"<starttls/>" + HEADER + b"<iq/>")
    parser.next_event()
    parser.restart(discard=True)

    assert parser.next_event() is None
    assert [StreamOpened] == [type(event) for event in parser.feed(HEADER)]


def test_what_came_before_the_handshake_can_be_looked_at() -> None:
    parser = opened()
    parser.push(b"<starttls/>")
    parser.push(b" <iq/>")
    parser.next_event()

    assert b" <iq/>" == parser.take_unparsed()
    assert b"" == parser.take_unparsed()


def test_a_restart_heals_a_fault_that_is_none_in_the_new_stream() -> None:
    parser = opened()
    parser.push(b"<auth/><?xml version='1.0'?>")
    parser.next_event()
    parser.restart()

    assert parser.next_event() is None
    assert [StreamOpened] == [type(event) for event in parser.feed(HEADER.removeprefix(b"<?xml version='1.0'?>"))]


def test_a_parked_parser_goes_on_where_it_was() -> None:
    parser = opened(header=HEADER.replace(b" to=", b" xmlns:p='urn:p&amp;' to="))

    assert parser.park()
    assert [] == list(parser.feed(b" "))
    (found,) = parser.feed(b"<iq><p:x/></iq>")

    assert isinstance(found, Element)
    assert (("urn:p&", "x"),) == found.children
    assert b"<iq><p:x xmlns:p" != found.raw
    assert ("p", "urn:p&") in found.declared
    assert parser.park() and parser.park()
    assert [StreamClosed()] == list(parser.feed(b"</stream:stream>"))


@pytest.mark.parametrize("pieces", [(), (HEADER[:30],), (HEADER, b"<iq"), (HEADER, b"<iq>x"), (HEADER, b" </stre")])
def test_a_parser_is_not_parked_inside_something(pieces: tuple[bytes, ...]) -> None:
    parser = StreamParser()
    all_of(parser, *pieces)

    assert not parser.park()


def test_a_parser_with_undelivered_events_is_not_parked() -> None:
    parser = opened()
    parser.push(b"<iq/>")

    assert not parser.park()


def test_a_parser_after_a_fault_is_not_parked() -> None:
    parser = opened()
    condition_of(parser, b"<a></b>")

    assert not parser.park()


def test_a_long_input_is_read_in_pieces() -> None:
    stanza = a_message("x" * 1000)

    events, error = all_of(opened(), stanza * 300)

    assert error is None
    assert [stanza] * 300 == [event.raw for event in events if isinstance(event, Element)]


def test_nothing_is_read_from_nothing() -> None:
    parser = opened()

    assert [] == list(parser.feed(b""))
