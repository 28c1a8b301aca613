"""XEP-0313: queries as they are read, whatever they are."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.features import mam_preferences, mam_query
from gateway.features.mam_query import ArchiveQuery
from gateway.mailbox.archive_ids import LATEST, to_text
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.stanza import peek

VARS = st.one_of(st.sampled_from([*mam_query.FIELDS, "FORM_TYPE"]), st.text("abc", max_size=3))
VALUES = st.one_of(
    st.sampled_from(
        [ns.MAM, "juliet@localhost", "@", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1-0",
         "8796093022207-1048575", "9" * 40, "", "true"]
    ),
    st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), max_size=8),
)  # fmt: skip


@st.composite
def elements(draw: st.DrawFn, depth: int = 2) -> str:
    name = draw(
        st.sampled_from(
            ["x", "set", "max", "after", "before", "index", "field", "value", "flip-page", "jid", "always", "never"]
        )
    )
    space = draw(st.sampled_from([ns.DATA_FORMS, ns.RSM, ns.MAM, "other"]))
    attributes = draw(
        st.dictionaries(st.sampled_from(["type", "var", "queryid", "node", "default"]), VALUES, max_size=2)
    )
    inner = draw(st.lists(elements(depth - 1), max_size=3)) if depth else [escape(draw(VALUES))]
    written = "".join(f" {key}='{escape(value)}'" for key, value in attributes.items())
    return f"<{name} xmlns='{space}'{written}>{''.join(inner)}</{name}>"


@st.composite
def forms(draw: st.DrawFn) -> str:
    fields = "".join(
        f"<field var='{escape(var)}'>{''.join(f'<value>{escape(value)}</value>' for value in values)}</field>"
        for var, values in draw(st.lists(st.tuples(VARS, st.lists(VALUES, max_size=3)), max_size=4))
    )
    return (
        f"<x xmlns='{ns.DATA_FORMS}' type='submit'><field var='FORM_TYPE'><value>{ns.MAM}</value></field>{fields}</x>"
    )


def read(inner: str) -> ArchiveQuery:
    iq = peek(f"<iq type='set' id='1'><query xmlns='{ns.MAM}'>{inner}</query></iq>".encode())
    return mam_query.read(iq, default_page=50, largest_page=250)


@given(st.lists(st.one_of(elements(), forms()), max_size=3))
def test_any_query_is_read_or_refused(inner: list[str]) -> None:
    try:
        found = read("".join(inner))
    except StanzaError:
        return

    assert 0 <= found.wanted.above <= LATEST
    assert 0 <= found.wanted.below <= LATEST
    assert 0 <= found.max <= 250
    to_text(found.wanted.above)


@given(st.lists(elements(), max_size=4), st.sampled_from(["always", "never", "roster", "x"]))
def test_any_preferences_are_read_or_refused(inner: list[str], default: str) -> None:
    iq = peek(
        f"<iq type='set' id='1'><prefs xmlns='{ns.MAM}' default='{default}'>{''.join(inner)}</prefs></iq>".encode()
    )
    payload = next(iter(iq.payload().values()))[f"{ns.MAM}|prefs"]
    try:
        found = mam_preferences._read(payload)
    except StanzaError:
        return

    assert set(found.listed.values()) <= {"always", "never"}


def test_a_time_between_two_milliseconds_leaves_out_what_it_should() -> None:
    def form(var: str, value: str) -> str:
        return (
            f"<x xmlns='{ns.DATA_FORMS}' type='submit'><field var='FORM_TYPE'><value>{ns.MAM}</value></field>"
            f"<field var='{var}'><value>{value}</value></field></x>"
        )

    exact, later = (
        read(form("start", time)).wanted.above for time in ("1970-01-01T00:00:05.001Z", "1970-01-01T00:00:05.0015Z")
    )
    end = read(form("end", "1970-01-01T00:00:05.0015Z")).wanted.below

    assert (5001 << 20) - 1 == exact
    assert (5002 << 20) - 1 == later
    assert 5002 << 20 == end
