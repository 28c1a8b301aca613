"""The control port's part for Web Push alone: what browsers do to subscribe (docs/sandbox.md)."""

from typing import Annotated, Any

import msgspec

from workers.sandbox.state import State


class SubscriptionForm(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The body of POST /control/webpush/subscriptions."""

    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    application_server_key: Annotated[str, msgspec.Meta(max_length=100)] = ""


def control_subscriptions(state: State, method: str, parts: list[str], body: bytes) -> Any:
    """Answer a request to /control/webpush/subscriptions; None for one that means nothing.

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
        case _:
            return None
