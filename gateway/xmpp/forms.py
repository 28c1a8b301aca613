"""XEP-0004: Data Forms 2.13, as far as a server fills them in or reads them.

A `Form` is what programs exchange, values by the fields' names; a `Layout` is what people are shown.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.payload import NotAnElement, several
from gateway.xmpp.payload import read as read_payload

FORM_TYPE: Final = "FORM_TYPE"
"""XEP-0068: the hidden field that names the form's kind."""

_TYPES: Final = frozenset({"form", "submit", "cancel", "result"})
_X: Final = f"{ns.DATA_FORMS}|x"
_FIELD: Final = f"{ns.DATA_FORMS}|field"
_VALUE: Final = f"{ns.DATA_FORMS}|value"


@dataclass(frozen=True, slots=True)
class Form:
    """One form: the values of each field by the field's `var`."""

    type: str
    """form, submit, cancel or result"""
    fields: dict[str, list[str]] = field(default_factory=dict)

    @property
    def form_type(self) -> str:
        """The FORM_TYPE, "" if there is none."""
        return self.first(FORM_TYPE)

    def first(self, var: str) -> str:
        """The field's first value, "" if there is none."""
        values = self.fields.get(var)
        return values[0] if values else ""


def read(x: bytes | dict[str, Any] | None) -> Form:
    """Read an `<x xmlns='jabber:x:data'/>`: its bytes, or what stands under its key in `Element.payload()`.

    Fields without `var` and results of many items are passed over. Raises StanzaError(bad-request) for what is no form.
    """
    if isinstance(x, bytes):
        try:
            x = read_payload(x).get(_X)
        except NotAnElement as error:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "the form is not well-formed") from error
    if not isinstance(x, dict) or x.get("@type") not in _TYPES:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "a data form with a type is needed (XEP-0004)")
    fields: dict[str, list[str]] = {}
    for found in several(x, _FIELD):
        if isinstance(found, dict) and "@var" in found:
            if found["@var"] in fields:
                raise StanzaError(StanzaCondition.BAD_REQUEST, "the form has two fields of one name")
            fields[found["@var"]] = [_text(value) for value in several(found, _VALUE)]
    return Form(x["@type"], fields)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("#text")
    return value if isinstance(value, str) else ""


def write(form: Form) -> bytes:
    """The form as an element; FORM_TYPE is hidden where XEP-0068 wants it so."""
    fields = "".join([_write_field(var, values, form.type) for var, values in form.fields.items()])
    return f"<x xmlns='{ns.DATA_FORMS}' type='{escape(form.type)}'>{fields}</x>".encode()


def _write_field(var: str, values: list[str], form_type: str) -> str:
    hidden = " type='hidden'" if var == FORM_TYPE and form_type in ("form", "result") else ""
    inner = "".join([f"<value>{escape(value)}</value>" for value in values])
    return f"<field var='{escape(var)}'{hidden}>{inner}</field>"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a `Layout` (XEP-0004 section 3.2)."""

    var: str
    label: str = ""
    type: str = ""
    """of section 3.3, such as text-single; "" says nothing, which means the same"""
    values: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """(label, value) to choose from"""
    is_required: bool = False

    def to_text(self) -> str:
        """The element."""
        attrs = f" var='{escape(self.var)}'" if self.var else ""
        attrs += f" type='{escape(self.type)}'" if self.type else ""
        attrs += f" label='{escape(self.label)}'" if self.label else ""
        inner = "<required/>" if self.is_required else ""
        inner += "".join([f"<value>{escape(value)}</value>" for value in self.values])
        for label, value in self.options:
            inner += f"<option label='{escape(label)}'><value>{escape(value)}</value></option>"
        return f"<field{attrs}>{inner}</field>" if inner else f"<field{attrs}/>"


@dataclass(frozen=True, slots=True)
class Layout:
    """A form to be filled in by somebody, or results to be read: one set of values, or with `reported` a table."""

    type: str
    """form or result"""
    form_type: str = ""
    title: str = ""
    instructions: str = ""
    fields: tuple[Field, ...] = ()
    reported: tuple[Field, ...] = ()
    """XEP-0004 section 3.4: the columns"""
    items: tuple[tuple[str, ...], ...] = ()
    """the rows, one value for each column"""

    def to_bytes(self) -> bytes:
        """The element."""
        parts = [f"<title>{escape(self.title)}</title>"] if self.title else []
        parts += [f"<instructions>{escape(self.instructions)}</instructions>"] if self.instructions else []
        if self.form_type:
            parts.append(Field(FORM_TYPE, type="hidden", values=(self.form_type,)).to_text())
        parts += [field.to_text() for field in self.fields]
        if self.reported:
            parts.append(f"<reported>{''.join([column.to_text() for column in self.reported])}</reported>")
            parts += [f"<item>{self._row(row)}</item>" for row in self.items]
        return f"<x xmlns='{ns.DATA_FORMS}' type='{escape(self.type)}'>{''.join(parts)}</x>".encode()

    def _row(self, row: tuple[str, ...]) -> str:
        cells = zip(self.reported, row, strict=True)
        return "".join([Field(column.var, values=(value,)).to_text() for column, value in cells])
