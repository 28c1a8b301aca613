"""XEP-0004."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.xmpp import forms
from gateway.xmpp.errors import StanzaCondition, StanzaError
from tests.unit.xmpp.builders import element

PUBLISH_OPTIONS = (
    b"<x xmlns='jabber:x:data' type='submit'>"
    b"<field var='FORM_TYPE'><value>http://jabber.org/protocol/pubsub#publish-options</value></field>"
    b"<field var='token'><value> a&amp;b </value></field>"
    b"<field var='many'><value>1</value><value>2</value></field>"
    b"<field var='empty'/><field var='blank'><value/></field><field type='fixed'><value>text</value></field>"
    b"</x>"
)


def test_one_value_or_many_are_a_list() -> None:
    form = forms.read(PUBLISH_OPTIONS)

    assert "submit" == form.type
    assert {
        "FORM_TYPE": ["http://jabber.org/protocol/pubsub#publish-options"],
        "token": [" a&b "],
        "many": ["1", "2"],
        "empty": [],
        "blank": [""],
    } == form.fields
    assert "http://jabber.org/protocol/pubsub#publish-options" == form.form_type
    assert (" a&b ", "", "") == (form.first("token"), form.first("empty"), form.first("absent"))


def test_a_form_is_read_from_a_payload_too() -> None:
    found = element(b"<iq type='set'><enable xmlns='urn:xmpp:push:0'>%b</enable></iq>" % PUBLISH_OPTIONS)
    enable = found.payload()["jabber:client|iq"]["urn:xmpp:push:0|enable"]

    assert forms.read(PUBLISH_OPTIONS) == forms.read(enable["jabber:x:data|x"])


def test_a_form_without_fields_is_one() -> None:
    assert forms.Form("cancel") == forms.read(b"<x xmlns='jabber:x:data' type='cancel'/>")


def test_a_value_is_its_text_whatever_else_it_has() -> None:
    values = b"<value xml:lang='de'>t</value><value><b/></value>"
    x = b"<x xmlns='jabber:x:data' type='form'><field var='a'>%b</field></x>" % values

    assert {"a": ["t", ""]} == forms.read(x).fields


@pytest.mark.parametrize(
    "x",
    [
        b"<x",
        b"<x type='submit'/>",
        b"<x xmlns='jabber:x:data'/>",
        b"<x xmlns='jabber:x:data' type='nonsense'/>",
        b"<x xmlns='jabber:x:data'>text</x>",
        b"<x xmlns='jabber:x:data' type='submit'><field var='a'/><field var='a'/></x>",
        None,
        [{"@type": "submit"}, {"@type": "submit"}],
    ],
)
def test_what_is_no_form_is_a_bad_request(x: Any) -> None:
    with pytest.raises(StanzaError) as caught:
        forms.read(x)

    assert StanzaCondition.BAD_REQUEST == caught.value.condition


def test_a_form_that_is_written_is_read_again() -> None:
    form = forms.Form("submit", {"FORM_TYPE": ["urn:x"], "a'b": ["<1>", " 2\n"], "none": []})

    assert form == forms.read(forms.write(form))


@pytest.mark.parametrize(("type_", "hidden"), [("form", True), ("result", True), ("submit", False)])
def test_the_form_type_is_hidden_but_in_submissions(type_: str, hidden: bool) -> None:
    assert hidden == (b"type='hidden'" in forms.write(forms.Form(type_, {"FORM_TYPE": ["urn:x"], "a": ["1"]})))


def test_a_layout_shows_labels_options_and_what_is_required() -> None:
    layout = forms.Layout(
        "form",
        "urn:x",
        "A <title>",
        "Fill in",
        (
            forms.Field("a", "Label's", "text-single", is_required=True),
            forms.Field("b", type="list-single", values=("1",), options=(("One", "1"), ("Two", "2"))),
        ),
    )

    assert (
        b"<x xmlns='jabber:x:data' type='form'><title>A &lt;title&gt;</title><instructions>Fill in</instructions>"
        b"<field var='FORM_TYPE' type='hidden'><value>urn:x</value></field>"
        b"<field var='a' type='text-single' label='Label&apos;s'><required/></field>"
        b"<field var='b' type='list-single'><value>1</value><option label='One'><value>1</value></option>"
        b"<option label='Two'><value>2</value></option></field></x>"
    ) == layout.to_bytes()
    assert {"FORM_TYPE": ["urn:x"], "a": [], "b": ["1"]} == forms.read(layout.to_bytes()).fields


def test_a_layout_shows_a_table() -> None:
    columns = (forms.Field("name", "Name"), forms.Field("n"))
    layout = forms.Layout("result", reported=columns, items=(("x", "1"), ("y", "2")))

    assert (
        b"<x xmlns='jabber:x:data' type='result'><reported><field var='name' label='Name'/><field var='n'/></reported>"
        b"<item><field var='name'><value>x</value></field><field var='n'><value>1</value></field></item>"
        b"<item><field var='name'><value>y</value></field><field var='n'><value>2</value></field></item></x>"
    ) == layout.to_bytes()
