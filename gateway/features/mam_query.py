"""XEP-0313 section 4.1: what a client asks of its archive, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from gateway.archive.reader import Wanted
from gateway.mailbox.archive_ids import LATEST, first_of, to_number
from gateway.xmpp import forms, ns, rsm
from gateway.xmpp.date_time import NotADateTime, read_ms
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.forms import Form
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.stanza import Element

FIELDS: Final = ("with", "start", "end", "before-id", "after-id", "ids", "include-groupchat")

LONGEST_QUERYID: Final = 1024
"""characters; it comes back with every message of the page"""

BOOLEANS: Final = ("", "0", "1", "true", "false")


@dataclass(frozen=True, slots=True)
class ArchiveQuery:
    """One query. `wanted` has every bound in it; `must_be` are ids that the archive has to have (section 4.1.3)."""

    wanted: Wanted
    queryid: str = ""
    ids: tuple[int, ...] | None = None
    must_be: tuple[int, ...] = ()
    max: int = 0
    backwards: bool = False
    is_flipped: bool = False
    is_from_start: bool = True
    """nothing of what matches was left out at the side where the page begins, by RSM"""


def read(iq: Element, *, default_page: int, largest_page: int) -> ArchiveQuery:
    """Read an iq's `<query/>`. Raises StanzaError."""
    payload = next(iter(iq.payload().values()))[f"{ns.MAM}|query"]
    fields = payload if isinstance(payload, dict) else {}
    queryid = fields.get("@queryid", "")
    if len(queryid) > LONGEST_QUERYID:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"queryid is longer than {LONGEST_QUERYID} characters")
    if fields.get("@node"):
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "an account's archive has no nodes")
    form, page = _form(fields), rsm.read(fields)
    if page.index is not None:
        raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "pages are asked for by ids")
    after, before = _known(page.after), _known(page.before or None)
    after_id, before_id = _known(_one(form, "after-id")), _known(_one(form, "before-id"))
    start, end = _time(form, "start"), _time(form, "end")
    above = [after, after_id, first_of(start[0] + (not start[1])) - 1 if start else None, 0]
    below = [before, before_id, first_of(end[0] + 1) if end else None, LATEST]
    return ArchiveQuery(
        Wanted(
            max(number for number in above if number is not None),
            min(number for number in below if number is not None),
            _peer(form),
        ),
        queryid,
        _ids(form, largest_page),
        tuple(number for number in (after, before, after_id, before_id) if number is not None),
        min(default_page if page.max is None else page.max, largest_page),
        page.before is not None,
        f"{ns.MAM}|flip-page" in fields,
        before is None if page.before is not None else after is None,
    )


def _form(fields: dict[str, Any]) -> Form:
    """Section 4.1: the form, empty if there is none. Raises StanzaError."""
    if f"{ns.DATA_FORMS}|x" not in fields:
        return Form("submit")
    form = forms.read(fields[f"{ns.DATA_FORMS}|x"])
    if form.type != "submit" or form.form_type != ns.MAM:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"a form of type submit and FORM_TYPE {ns.MAM} is needed")
    for var in form.fields:
        if var not in FIELDS and var != forms.FORM_TYPE:
            raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "the form has a field that is not known here")
    if _one(form, "include-groupchat") not in BOOLEANS:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "include-groupchat is true or false")
    return form


def _one(form: Form, var: str) -> str:
    values = form.fields.get(var, [])
    if len(values) > 1:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the field {var} has one value")
    return values[0].strip() if values else ""


def _known(text: str | None) -> int | None:
    """An id as a number; None if none is given. What cannot be an id is not found (section 4.1.3)."""
    if not text:
        return None
    number = to_number(text)
    if number is None:
        raise not_found()
    return number


def not_found() -> StanzaError:
    """The archive does not have an id that was given."""
    return StanzaError(StanzaCondition.ITEM_NOT_FOUND, "the archive has no message of that id")


def _ids(form: Form, most: int) -> tuple[int, ...] | None:
    """Section 4.1.3: the messages to fetch; None if it is not these that are asked for."""
    texts = [text.strip() for text in form.fields.get("ids", ()) if text.strip()]
    if not texts:
        return None
    if len(texts) > most:
        raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"at most {most} ids at once")
    numbers = [number for text in texts if (number := _known(text)) is not None]
    return tuple(dict.fromkeys(numbers))


def _time(form: Form, var: str) -> tuple[int, bool] | None:
    text = _one(form, var)
    if not text:
        return None
    try:
        return read_ms(text)
    except NotADateTime as error:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the field {var}: {error}") from error


def _peer(form: Form) -> str:
    text = _one(form, "with")
    try:
        return str(JID.parse(text)) if text else ""
    except JIDError as error:
        raise StanzaError(StanzaCondition.JID_MALFORMED, f"the field with: {error}") from error
