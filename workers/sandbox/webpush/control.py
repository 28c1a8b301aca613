"""The control port's part for Web Push: what browsers do (docs/sandbox.md)."""

from typing import Annotated, Any

import msgspec

from workers.sandbox.devices import State as DeviceState
from workers.sandbox.state import State


class SubscriptionForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /control/webpush/subscriptions."""

    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    application_server_key: Annotated[str, msgspec.Meta(max_length=100)] = ""


class BrowserForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /control/webpush/subscriptions/{name}."""

    state: DeviceState = "registered"
    online: bool = True


def control_subscriptions(state: State, method: str, parts: list[str], body: bytes) -> Any:
    """Answer a request below /control/webpush/subscriptions; None for one that means nothing.

    Raises BadSubscription, msgspec.MsgspecError.
    """
    subscriptions = state.webpush_subscriptions
    match method, parts:
        case "POST", []:
            form = msgspec.json.decode(body or b"{}", type=SubscriptionForm)
            return subscriptions.add(form.name, form.application_server_key).as_json()
        case "GET", []:
            return {"subscriptions": subscriptions.listing()}
        case "DELETE", []:
            subscriptions.forget()
            state.webpush_devices.forget()
            state.webpush_storage.forget()
            return {"subscriptions": []}
        case "POST", [name]:
            change(state, subscriptions.endpoint(name), msgspec.json.decode(body or b"{}", type=BrowserForm))
            return {"browsers": state.webpush_devices.listing()}
        case "DELETE", [name]:
            change(state, subscriptions.endpoint(name), BrowserForm(state="unregistered"))
            return {"browsers": state.webpush_devices.listing()}
        case _:
            return None


def change(state: State, endpoint: str, form: BrowserForm) -> None:
    """The browser of an endpoint goes online or offline, unsubscribes, or its subscription expires."""
    if form.state == "registered":
        state.webpush_devices.register(endpoint)
        state.webpush_devices.reach(endpoint, is_online=form.online)
        state.webpush_storage.flush(endpoint)
    else:
        state.webpush_devices.unregister(endpoint, form.state)
        state.webpush_storage.discard(endpoint)
