"""XEP-0313: Message Archive Management, version 1.1.3. Users' archives: queries with all filters, extended ones too.

Messages get into the archive with their delivery (`gateway/mailbox/lua/25_archive.lua`); here is which ones. A page's
messages go through the session's queue, in one step and before the answer, so that they are as safe as any message.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from gateway.archive.errors import ArchiveError
from gateway.archive.opening import reader_of
from gateway.archive.reader import Page, Reader, Wanted, time_of
from gateway.archive.settings import ArchiveSettings
from gateway.features import mam_query
from gateway.features.mam_query import ArchiveQuery, not_found
from gateway.hooks import Feature, On, Query, StanzaTraits, Xep
from gateway.limits.bucket import Rate
from gateway.limits.hits import Limit, process_hits
from gateway.limits.turns import TooManyRequests, Turns
from gateway.mailbox.archive_ids import ms_of, to_text
from gateway.mailbox.archives import Archives, Kept
from gateway.sections import LimitSettings
from gateway.settings import Settings
from gateway.telemetry import get_logger
from gateway.xmpp import ns, rsm
from gateway.xmpp.delay import stamp
from gateway.xmpp.errors import ErrorType, StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.forms import FORM_TYPE, Field
from gateway.xmpp.start_tag import qualified_name

log = get_logger(__name__)

EXTENDED = f"{ns.MAM}#extended"
GROUPCHAT_FIELD = f"{ns.MAM}#groupchat-field"

MEANINGFUL = frozenset(
    {
        (ns.CLIENT, "body"), (ns.CLIENT, "subject"),
        (ns.RECEIPTS, "received"),
        (ns.MARKERS, "received"), (ns.MARKERS, "displayed"), (ns.MARKERS, "acknowledged"),
        (ns.CORRECTION, "replace"), (ns.RETRACTION, "retract"), (ns.REACTIONS, "reactions"),
        (ns.CONFERENCE, "x"), (ns.HINTS, "store"),
    }
)  # fmt: skip
"""children for which a message is archived"""

ENCRYPTED = frozenset({*ns.OMEMO, ns.OPENPGP, ns.PGP_LEGACY})


def traits(event: StanzaTraits) -> None:
    """Section 6.1.1: what has content is archived, also encrypted, and what says something about an earlier message;
    neither chat states alone nor what is of type groupchat, headline or error. Hints (XEP-0334) are heard.
    """
    stanza = event.stanza
    if stanza.attrs.get("type") in ("groupchat", "headline", "error"):
        return
    if stanza.has(ns.HINTS, "no-store") or stanza.has(ns.HINTS, "no-permanent-store"):
        return
    event.archive = any(child in MEANINGFUL or child[0] in ENCRYPTED for child in stanza.children)


@cache
def _turns(at_once: int, rate: Rate | None) -> Turns:
    """The process's: one account must not keep the database busy for all."""
    return Turns(Limit.ARCHIVE_QUERIES, rate=rate, at_once=at_once, hits=process_hits())


def _turns_of(settings: Settings) -> Turns:
    limits = settings.of(LimitSettings)
    return _turns(limits.max_archive_queries, Rate.of(limits.archive_queries))


@contextmanager
def _readable(query: Query) -> Iterator[Reader]:
    """The asker's own archive (section 8.1: nobody else's). What the database cannot do now may be asked again."""
    if not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    settings = query.services.settings
    try:
        with _turns_of(settings).turn(str(query.asker.bare)):
            yield reader_of(settings, query.services.mailbox)
    except TooManyRequests as error:
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, str(error)) from error
    except ArchiveError as error:
        log.error("archive_not_read", error=str(error))
        raise StanzaError(
            StanzaCondition.INTERNAL_SERVER_ERROR, "the archive cannot be read at the moment", type=ErrorType.WAIT
        ) from error


def ask(query: Query) -> None:
    """Section 4: the messages of one page, then the answer."""
    settings = query.services.settings.of(ArchiveSettings)
    with _readable(query) as reader:
        asked = mam_query.read(query.iq, default_page=settings.default_page, largest_page=settings.largest_page)
        user = str(query.asker.bare)
        for number in asked.must_be:
            if not reader.has(user, number):
                raise not_found()
        if asked.max == 0:
            count = _count(reader, user, asked)
            query.reply(_fin(asked, Page((), count == 0), count))
            return
        page = _found(reader, user, asked)
        page = _queued(query, asked, page)
        query.reply(_fin(asked, page, None))


def _found(reader: Reader, user: str, asked: ArchiveQuery) -> Page:
    if asked.ids is None:
        return reader.page(user, asked.wanted, most=asked.max, backwards=asked.backwards)
    matching = [entry for entry in _by_id(reader, user, asked.ids) if _matches(entry, asked.wanted)]
    entries = matching[-asked.max :] if asked.backwards else matching[: asked.max]
    return Page(tuple(entries), len(entries) == len(matching))


def _by_id(reader: Reader, user: str, ids: tuple[int, ...]) -> tuple[Kept, ...]:
    found = reader.find(user, ids)
    if len(found) < len(ids):
        raise not_found()
    return found


def _matches(entry: Kept, wanted: Wanted) -> bool:
    """As `Reader.page` chooses."""
    peer = entry.peer if "/" in wanted.peer else entry.peer.partition("/")[0]
    return wanted.above < entry.id < wanted.below and wanted.peer in ("", peer)


def _count(reader: Reader, user: str, asked: ArchiveQuery) -> int:
    if asked.ids is None:
        return reader.count(user, asked.wanted)
    return sum(_matches(entry, asked.wanted) for entry in _by_id(reader, user, asked.ids))


def _queued(query: Query, asked: ArchiveQuery, page: Page) -> Page:
    """Queue a page's messages; answers what of the page there was room for."""
    archives = Archives(query.services.mailbox)
    while page.entries:
        entries = tuple(reversed(page.entries)) if asked.is_flipped else page.entries
        low, high = _shown(asked, page)
        room = archives.queue(
            query.session.grip, [_result(query, asked.queryid, entry) for entry in entries], low=low, high=high
        )
        if room is None:
            return page
        if room == 0:
            raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "read and acknowledge what is queued")
        page = Page(page.entries[-room:] if asked.backwards else page.entries[:room], False)
    return page


def _shown(asked: ArchiveQuery, page: Page) -> tuple[int, int | None]:
    """Which stretch of the archive, (low, high], the page shows without a gap; no high if it is not a whole one."""
    if asked.wanted.peer or asked.ids is not None:
        return 0, None
    first, last = page.entries[0].id, page.entries[-1].id
    if not asked.backwards:
        return asked.wanted.above, last
    # Later messages may come with ids up to a time that was given, but not up to an id that is there already.
    high = asked.wanted.below - 1 if asked.wanted.below in asked.must_be else last
    return asked.wanted.above if page.is_complete else first - 1, high


def _result(query: Query, queryid: str, entry: Kept) -> bytes:
    """Section 4.2. The archived stanza has to name its namespace, which in a stream is the default."""
    name = qualified_name(entry.stanza)
    named = b" queryid='%b'" % escape(queryid).encode() if queryid else b""
    return (
        f"<message from='{escape(str(query.asker.bare))}' to='{escape(str(query.asker))}'>"
        f"<result xmlns='{ns.MAM}'".encode()
        + named
        + f" id='{to_text(entry.id)}'><forwarded xmlns='{ns.FORWARD}'>"
        f"<delay xmlns='{ns.DELAY}' stamp='{stamp(time_of(entry))}'/>".encode()
        + b"<%b xmlns='jabber:client'%b" % (name, entry.stanza[1 + len(name) :])
        + b"</forwarded></result></message>"
    )


def _fin(asked: ArchiveQuery, page: Page, count: int | None) -> bytes:
    """Section 4.3. To count is to look at every message, so it is done for who asks with `max` 0 (XEP-0059 section 2.7)
    and where it costs nothing.
    """
    index = None
    if page.entries and asked.is_from_start and (page.is_complete or not asked.backwards):
        index = 0
        count = len(page.entries) if page.is_complete else None
    first, last = (to_text(page.entries[0].id), to_text(page.entries[-1].id)) if page.entries else ("", "")
    complete = " complete='true'" if page.is_complete else ""
    return (
        f"<fin xmlns='{ns.MAM}'{complete}>{rsm.write(first=first, last=last, index=index, count=count)}</fin>".encode()
    )


def describe(query: Query) -> None:
    """Section 4.1.5: the fields that a query may have."""
    with _readable(query):
        types = {"with": "jid-single", "include-groupchat": "boolean"}
        fields = [Field(FORM_TYPE, type="hidden", values=(ns.MAM,)).to_text()]
        fields += [Field(var, type=types.get(var, "text-single")).to_text() for var in mam_query.FIELDS if var != "ids"]
        fields.append(
            f"<field var='ids' type='list-multi'><validate xmlns='{ns.DATA_VALIDATE}' datatype='xs:string'><open/>"
            "</validate></field>"
        )
        form = f"<x xmlns='{ns.DATA_FORMS}' type='form'>{''.join(fields)}</x>"
        query.reply(f"<query xmlns='{ns.MAM}'>{form}</query>".encode())


def metadata(query: Query) -> None:
    """Section 5: the first and the last message."""
    with _readable(query) as reader:
        ends = reader.ends(str(query.asker.bare))
        if ends is None:
            query.reply(f"<metadata xmlns='{ns.MAM}'/>".encode())
            return
        inner = "".join(
            f"<{name} id='{to_text(number)}' timestamp='{stamp(ms_of(number))}'/>"
            for name, number in zip(("start", "end"), ends, strict=True)
        )
        query.reply(f"<metadata xmlns='{ns.MAM}'>{inner}</metadata>".encode())


FEATURE = Feature(
    name="mam",
    xep=Xep(313, "1.1.3"),
    account_disco=(ns.MAM, EXTENDED, GROUPCHAT_FIELD),
    iq_get={(ns.MAM, "query"): describe, (ns.MAM, "metadata"): metadata},
    iq_set={(ns.MAM, "query"): ask},
    hooks=(On(StanzaTraits, traits),),
    requires=("stanza-ids",),
)
