"""XEP-0050: how devices are registered: our own commands, and those of app servers that clients know already.

    register, unregister                            ours
    register-push-fcm, register-push-apns, …        Conversations' app server (iNPUTmice/p2), Openfire's push server
    register-device, unregister-device              Tigase's push component (Siskin, Beagle); without a secret

A form may come at once with the action `execute`, as all those clients send it, or after it was asked for. There is one
stage, so no session is kept: a form that comes twice registers the same device.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.mailbox.devices import Devices, TooMany
from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.forms import Field, Layout
from gateway.xmpp.jid import JID
from workers.appserver.published import form_fields
from workers.appserver.registration import Apps, device_of
from workers.push.settings import APNS, FCM

ACTIONS: Final = ("execute", "next", "complete", "cancel")

PAYLOAD_SIZE: Final = 3000
"""characters of an encrypted payload that there is room for, as Tigase's clients want to know"""


@dataclass(frozen=True)
class Command:
    """One command: its form's fields, and what a submitted form does. `run` answers the result's fields."""

    name: str
    fields: tuple[Field, ...]
    run: Callable[[JID, Mapping[str, str]], tuple[Field, ...]]


class Commands:
    """The commands of one push service. Methods wait for the mailboxes, and raise StanzaError and StoreError."""

    def __init__(self, service: str, devices: Devices, apps: Apps) -> None:
        self._service = service
        self._devices = devices
        self._apps = apps
        self.all: Mapping[str, Command] = {
            "register": Command("Register a device", self._form(), self._register),
            "unregister": Command("Forget a device", (_text("node", "Node", is_required=True),), self._unregister),
            "register-push-fcm": self._known(FCM),
            "register-push-apns": self._known(APNS),
            "unregister-push-fcm": self._forgotten(FCM),
            "unregister-push-apns": self._forgotten(APNS),
            "register-device": Command("Register a device", _TIGASE, self._register_device),
            "unregister-device": Command("Forget a device", _TIGASE[:2], self._unregister_device),
        }

    def execute(self, iq: Element, asker: JID) -> bytes:
        """What answers a `<command/>`."""
        payload: Any = next(iter(iq.payload().values())).get(f"{ns.COMMANDS}|command")
        payload = payload if isinstance(payload, dict) else {}
        node, action = payload.get("@node", ""), payload.get("@action", "execute")
        command = self.all.get(node)
        if command is None:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        if action not in ACTIONS:
            extra = f"<bad-action xmlns='{ns.COMMANDS}'/>".encode()
            raise StanzaError(StanzaCondition.BAD_REQUEST, "there is one stage", extra=extra)
        sid = payload.get("@sessionid") or secrets.token_urlsafe(15)
        if action == "cancel":
            return _element(node, sid, "canceled", b"")
        if f"{ns.DATA_FORMS}|x" not in payload:
            form = Layout("form", title=command.name, fields=command.fields)
            actions = b"<actions execute='complete'><complete/></actions>"
            return _element(node, sid, "executing", actions + form.to_bytes())
        result = command.run(asker.bare, form_fields(payload))
        return _element(node, sid, "completed", Layout("result", fields=result).to_bytes() if result else b"")

    def _form(self) -> tuple[Field, ...]:
        apps = tuple((name, name) for name in self._apps.apps)
        return (
            Field("app", label="App", type="list-single", options=apps, is_required=True),
            _text("token", "Device token"),
            _text("voip_token", "PushKit token, for calls"),
            _text("endpoint", "Web Push: endpoint"),
            _text("p256dh", "Web Push: key"),
            _text("auth", "Web Push: authentication secret"),
            Field("environment", label="APNs environment", type="list-single",
                  options=tuple((word, word) for word in ("production", "sandbox", "auto"))),
            Field("content", label="What pushes may tell", type="list-single",
                  options=tuple((word, word) for word in ("none", "sender", "body"))),
            _text("device-id", "Name of the device, which keeps its node when its token changes"),
        )  # fmt: skip

    def _known(self, provider: str) -> Command:
        def run(asker: JID, fields: Mapping[str, str]) -> tuple[Field, ...]:
            if fields.get("muc"):
                raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, "rooms do not publish here")
            if not (fields.get("device-id") or fields.get("android-id")):
                raise StanzaError(StanzaCondition.BAD_REQUEST, "the field device-id is needed")
            return self._added(asker, self._apps.of_provider(provider), fields)

        form = (_text("token", "Device token", is_required=True), _text("device-id", "Device", is_required=True))
        return Command(f"Register with {provider.upper()}", form, run)

    def _forgotten(self, provider: str) -> Command:
        def run(asker: JID, fields: Mapping[str, str]) -> tuple[Field, ...]:
            name = fields.get("device-id") or fields.get("android-id")
            return self._removed(asker, device=f"{self._apps.of_provider(provider)}\nid {name}")

        return Command(f"Forget at {provider.upper()}", (_text("device-id", "Device", is_required=True),), run)

    def _register(self, asker: JID, fields: Mapping[str, str]) -> tuple[Field, ...]:
        app = fields.get("app", "")
        if not app and len(self._apps.apps) == 1:
            (app,) = self._apps.apps
        return self._added(asker, app, fields)

    def _unregister(self, asker: JID, fields: Mapping[str, str]) -> tuple[Field, ...]:
        if not fields.get("node"):
            raise StanzaError(StanzaCondition.BAD_REQUEST, "the field node is needed")
        return self._removed(asker, node=fields["node"])

    def _register_device(self, asker: JID, fields: Mapping[str, str]) -> tuple[Field, ...]:
        """Tigase's clients get no secret, so whoever speaks for the device's own server may publish."""
        tokens = {"token": fields.get("device-token", ""), "voip_token": fields.get("device-second-token", "")}
        found = self._added(asker, self._apps.named(fields.get("provider", "")), tokens, has_secret=False)
        return (*found, Field("max-payload-size", values=(str(PAYLOAD_SIZE),)))

    def _unregister_device(self, asker: JID, fields: Mapping[str, str]) -> tuple[Field, ...]:
        app = self._apps.named(fields.get("provider", ""))
        return self._removed(asker, device=f"tigase\n{app}\ntoken {fields.get('device-token', '')}")

    def _added(self, asker: JID, app: str, fields: Mapping[str, str], *, has_secret: bool = True) -> tuple[Field, ...]:
        registration = self._apps.registration(app, fields)
        name = device_of(fields, registration)
        device = self._devices.add(
            str(asker), name if has_secret else f"tigase\n{name}", registration, has_secret=has_secret
        )
        if isinstance(device, TooMany):
            raise StanzaError(
                StanzaCondition.RESOURCE_CONSTRAINT, f"too many new tokens; again in {int(device.wait_s) + 1} s"
            )
        told = {"jid": self._service, "node": device.node, "secret": device.secret}
        return tuple(Field(var, type="text-single", values=(value,)) for var, value in told.items() if value)

    def _removed(self, asker: JID, *, device: str = "", node: str = "") -> tuple[Field, ...]:
        if not self._devices.remove(str(asker), device=device, node=node):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, "you have registered no such device")
        return ()


def _text(var: str, label: str, *, is_required: bool = False) -> Field:
    return Field(var, label=label, type="text-single", is_required=is_required)


_TIGASE: Final = (
    _text("provider", "Provider", is_required=True),
    _text("device-token", "Device token", is_required=True),
    _text("device-second-token", "PushKit token, for calls"),
)


def _element(node: str, sid: str, status: str, inner: bytes) -> bytes:
    head = f"<command xmlns='{ns.COMMANDS}' node='{escape(node)}' sessionid='{escape(sid)}' status='{status}'>"
    return head.encode() + inner + b"</command>"
