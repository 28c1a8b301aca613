"""Node configuration as forms (XEP-0060 sections 8.2 and 16.4.4): what clients submit, and what they are shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import msgspec

from gateway.features.pep.errors import error
from gateway.mailbox.pubsub_model import NodeConfig, Options, PubsubSettings
from gateway.xmpp import ns
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.forms import Field, Form, Layout

PREFIX: Final = "pubsub#"
NODE_CONFIG: Final = ns.PUBSUB + "#node_config"

LONGEST_TEXT: Final = 1024
"""characters of a title or the like"""

MOST_GROUPS: Final = 100

MOST_SECONDS: Final = 3_155_760_000
"""a hundred years"""

IGNORED: Final = frozenset(
    {
        "body_xslt",
        "contact",
        "dataform_xslt",
        "itemreply",
        "language",
        "notify_sub",
        "presence_based_delivery",
        "tempsub",
    }
)
"""Registered fields without an effect here. A configuration may name them; a precondition may not."""

Value = str | int | bool


@dataclass(frozen=True, slots=True)
class Option:
    """One field: how it is read (raises ValueError with what it should be), how it is shown."""

    name: str
    type: str
    label: str
    read: Callable[[list[str], PubsubSettings], Value]
    choices: tuple[str, ...] = ()

    def field(self, config: NodeConfig, *, described: bool) -> Field:
        """The field with the configuration's value; `described` for a form that is to be filled in."""
        var, values = PREFIX + self.name, _shown(self.name, getattr(config, self.name))
        if not described:
            return Field(var, values=values)
        choices = tuple((choice, choice) for choice in self.choices)
        return Field(var, label=self.label, type=self.type, values=values, options=choices)


def _shown(name: str, value: Value) -> tuple[str, ...]:
    if isinstance(value, bool):
        return ("1" if value else "0",)
    if name == "roster_groups_allowed":
        return tuple(group for group in str(value).split("\n") if group)
    if name in ("max_items", "item_expire") and value == 0:
        return ("max",)
    if name == "max_payload_size" and value == 0:
        return ()
    return (str(value),) if value != "" else ()


def _one(values: list[str]) -> str:
    if len(values) != 1:
        raise ValueError("has one value")
    return values[0].strip()


def _boolean(values: list[str], _: PubsubSettings) -> Value:
    text = _one(values)
    if text not in ("0", "1", "true", "false"):
        raise ValueError("is 0, 1, true or false")
    return text in ("1", "true")


def _text(values: list[str], _: PubsubSettings) -> Value:
    text = values[0] if values else ""
    if len(values) > 1 or len(text) > LONGEST_TEXT:
        raise ValueError(f"has one value of at most {LONGEST_TEXT} characters")
    return text


def _one_of(*choices: str) -> Callable[[list[str], PubsubSettings], Value]:
    def read(values: list[str], _: PubsubSettings) -> Value:
        text = _one(values)
        if text not in choices:
            raise ValueError(f"is one of {', '.join(choices)}")
        return text

    return read


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 12 and least <= int(text) <= most):
        raise ValueError(f"is a number from {least} to {most}")
    return int(text)


def _max_items(values: list[str], settings: PubsubSettings) -> Value:
    text = _one(values)
    return 0 if text == "max" else _number(text, 1, settings.max_items)


def _expire(values: list[str], _: PubsubSettings) -> Value:
    text = _one(values)
    return 0 if text in ("max", "") else _number(text, 0, MOST_SECONDS)


def _payload_size(values: list[str], settings: PubsubSettings) -> Value:
    text = values[0].strip() if values else ""
    return _number(text, 0, settings.max_item_bytes) if text else 0


def _groups(values: list[str], _: PubsubSettings) -> Value:
    groups = sorted({group for group in values if group})
    if len(groups) > MOST_GROUPS or any(len(group) > LONGEST_TEXT or "\n" in group for group in groups):
        raise ValueError(f"has at most {MOST_GROUPS} groups of at most {LONGEST_TEXT} characters")
    return "\n" + "".join(group + "\n" for group in groups) if groups else ""


ACCESS: Final = ("open", "presence", "roster", "whitelist")
SENDING: Final = ("never", "on_sub", "on_sub_and_presence")
STYLES: Final = ("headline", "normal")

OPTIONS: Final[Mapping[str, Option]] = {
    option.name: option
    for option in (
        Option("title", "text-single", "A friendly name for the node", _text),
        Option("description", "text-single", "A description of the node", _text),
        Option("type", "text-single", "The type of payload data, usually its namespace", _text),
        Option("access_model", "list-single", "Who may subscribe and retrieve items", _one_of(*ACCESS), ACCESS),
        Option("roster_groups_allowed", "list-multi", "Roster groups allowed to subscribe and retrieve items", _groups),
        Option("persist_items", "boolean", "Whether to persist items to storage", _boolean),
        Option("max_items", "text-single", "The maximum number of items to persist, or max", _max_items),
        Option("item_expire", "text-single", "Seconds after which items are purged, or max", _expire),
        Option("max_payload_size", "text-single", "The maximum size of an item in bytes", _payload_size),
        Option(
            "send_last_published_item",
            "list-single",
            "When to send the last published item",
            _one_of(*SENDING),
            SENDING,
        ),
        Option("deliver_notifications", "boolean", "Whether to deliver event notifications", _boolean),
        Option("deliver_payloads", "boolean", "Whether to deliver payloads with event notifications", _boolean),
        Option("notification_type", "list-single", "The type of messages of notifications", _one_of(*STYLES), STYLES),
        Option("notify_config", "boolean", "Whether to tell subscribers when the configuration changes", _boolean),
        Option("notify_delete", "boolean", "Whether to tell subscribers when the node is deleted", _boolean),
        Option("notify_retract", "boolean", "Whether to tell subscribers when items are removed", _boolean),
        Option("purge_offline", "boolean", "Whether to purge all items when the owner goes offline", _boolean),
        Option("subscribe", "boolean", "Whether to allow subscriptions", _boolean),
    )
}

PUBLISH_MODEL: Final = "publish_model"
PUBLISHERS: Final = "publishers"
"""XEP-0163 section 3.2: one publisher per node, the account's owner"""


def read(form: Form, form_type: str, settings: PubsubSettings) -> Options:
    """A submitted form as options. Raises StanzaError: bad-request for a form of another type, not-acceptable for a
    value that cannot be; of preconditions also for a field that is unknown here (XEP-0060 section 7.1.5).
    """
    if form.type != "submit" or form.form_type not in ("", form_type):
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"a form of type submit with FORM_TYPE {form_type} is needed")
    if form_type == ns.PUBSUB_PUBLISH_OPTIONS and not form.form_type:
        raise StanzaError(StanzaCondition.BAD_REQUEST, f"the form's FORM_TYPE is {form_type}")
    found: Options = {}
    for var, values in form.fields.items():
        name = var.removeprefix(PREFIX)
        if name == "FORM_TYPE" or (name in IGNORED and form_type == NODE_CONFIG):
            continue
        if name == "node_type" and values == ["leaf"]:
            continue
        if name == PUBLISH_MODEL and values == [PUBLISHERS]:
            continue
        option = OPTIONS.get(name) if var.startswith(PREFIX) else None
        if option is None:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"the field {var[:100]} is not known here")
        try:
            found[name] = option.read(values, settings)
        except ValueError as fault:
            specific = "unsupported-access-model" if name == "access_model" else ""
            raise error(StanzaCondition.NOT_ACCEPTABLE, specific, f"the field {var} {fault}") from fault
    return found


def layout(config: NodeConfig, *, type_: str = "form") -> bytes:
    """The configuration to be changed ("form"), or to be told ("result")."""
    described = type_ == "form"
    fields = [option.field(config, described=described) for option in OPTIONS.values()]
    model = Field(PREFIX + PUBLISH_MODEL, values=(PUBLISHERS,))
    if described:
        model = replace(model, label="Who may publish", type="list-single", options=((PUBLISHERS, PUBLISHERS),))
    return Layout(type_, form_type=NODE_CONFIG, fields=(*fields, model)).to_bytes()


def changed(config: NodeConfig, options: Options) -> NodeConfig:
    """The configuration with some fields changed."""
    return msgspec.convert(msgspec.structs.asdict(config) | options, NodeConfig)
