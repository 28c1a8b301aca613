"""Node configuration as forms: what is shown can be submitted, and means the same."""

import pytest

from gateway.features.pep import config
from gateway.mailbox.pubsub_model import DEFAULTS, NodeConfig, Options, PubsubSettings
from gateway.xmpp import forms, ns
from gateway.xmpp.errors import StanzaError

SETTINGS = PubsubSettings()

OTHER = NodeConfig(
    title="<T&amp;>", description="d", type="urn:x", access_model="roster", roster_groups_allowed="\nA\nB c\n",
    persist_items=False, max_items=0, item_expire=60, max_payload_size=500, send_last_published_item="never",
    deliver_notifications=False, deliver_payloads=False, notification_type="normal", notify_config=True,
    notify_delete=False, notify_retract=True, purge_offline=True, subscribe=False,
)  # fmt: skip


def submitted(form_type: str = config.NODE_CONFIG, **fields: str) -> Options:
    values = {f"pubsub#{name}": [value] for name, value in fields.items()}
    return config.read(forms.Form("submit", {"FORM_TYPE": [form_type], **values}), form_type, SETTINGS)


@pytest.mark.parametrize("node", [DEFAULTS, OTHER])
def test_what_is_shown_can_be_submitted_and_means_the_same(node: NodeConfig) -> None:
    form = forms.read(config.layout(node))
    options = config.read(forms.Form("submit", form.fields), config.NODE_CONFIG, SETTINGS)

    assert node == config.changed(DEFAULTS, options)


def test_every_field_of_a_configuration_is_an_option() -> None:
    assert set(NodeConfig.__struct_fields__) - {"created"} == set(config.OPTIONS)


def test_a_result_is_told_without_descriptions() -> None:
    assert b"label" not in config.layout(OTHER, type_="result")
    assert b"label" in config.layout(OTHER)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("max_items", "max", 0),
        ("max_items", "1000", 1000),
        ("item_expire", "max", 0),
        ("item_expire", "", 0),
        ("max_payload_size", "", 0),
        ("persist_items", " true ", True),
        ("persist_items", "0", False),
        ("title", "", ""),
    ],
)
def test_values_are_read(field: str, value: str, expected: object) -> None:
    assert {field: expected} == submitted(**{field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_items", "1001"), ("max_items", "0"), ("max_items", "-1"), ("max_items", "1e3"), ("max_items", "\u0663"),
        ("item_expire", "99999999999"), ("max_payload_size", "262145"), ("persist_items", "TRUE"),
        ("title", "x" * 1025),
        ("access_model", "authorize"), ("access_model", ""), ("send_last_published_item", "sometimes"),
        ("notification_type", "chat"), ("publish_model", "subscribers"), ("node_type", "collection"), ("what", "ever"),
        ("roster_groups_allowed", "a\nb"),
    ],
)  # fmt: skip
def test_values_that_cannot_be_are_refused(field: str, value: str) -> None:
    with pytest.raises(StanzaError):
        submitted(**{field: value})


def test_registered_fields_without_effect_may_configure_but_are_no_preconditions() -> None:
    assert {} == submitted(presence_based_delivery="0", notify_sub="1", node_type="leaf", publish_model="publishers")
    with pytest.raises(StanzaError):
        submitted(ns.PUBSUB_PUBLISH_OPTIONS, presence_based_delivery="0")


def test_several_values_are_for_groups_only() -> None:
    form = forms.Form("submit", {"pubsub#roster_groups_allowed": ["B", "A", "B", ""]})

    assert {"roster_groups_allowed": "\nA\nB\n"} == config.read(form, config.NODE_CONFIG, SETTINGS)
    with pytest.raises(StanzaError):
        config.read(forms.Form("submit", {"pubsub#max_items": ["1", "2"]}), config.NODE_CONFIG, SETTINGS)
    with pytest.raises(StanzaError):
        config.read(forms.Form("submit", {"title": ["no prefix"]}), config.NODE_CONFIG, SETTINGS)
