"""What the demo's phone asks of its server: ping, service discovery, and pushes for itself."""

from xml.sax.saxutils import escape, quoteattr

from gateway.demo.client import Client
from gateway.xmpp import ns

_PUBLISH_OPTIONS = "http://jabber.org/protocol/pubsub#publish-options"


def ping(client: Client, to: str = "") -> None:
    """XEP-0199. Raises RequestFailed or ServerSilent."""
    client.request("get", f"<ping xmlns='{ns.PING}'/>", to)


def disco_features(client: Client, to: str = "") -> set[str]:
    """XEP-0030: the features of the server, or of `to`."""
    answer = client.request("get", f"<query xmlns='{ns.DISCO_INFO}'/>", to or client.address.domain)
    return {feature.get("var", "") for feature in answer.iter(f"{{{ns.DISCO_INFO}}}feature")}


def enable_push(
    client: Client, *, node: str, app: str, token: str, service: str = "", options: dict[str, str] | None = None
) -> None:
    """XEP-0357: registers this device's provider token with the server's own push service.

    `app` is a name from [push.apps.*]; `options` are further publish-options (environment, content). Raises
    RequestFailed.
    """
    fields = {"FORM_TYPE": _PUBLISH_OPTIONS, "app": app, "token": token, **(options or {})}
    form = "".join(
        f"<field var={quoteattr(var)}><value>{escape(value)}</value></field>" for var, value in fields.items()
    )
    jid = quoteattr(service or f"push.{client.address.domain}")
    x = f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x>"
    client.request("set", f"<enable xmlns='{ns.PUSH}' jid={jid} node={quoteattr(node)}>{x}</enable>")


def disable_push(client: Client, *, node: str = "", service: str = "") -> None:
    """XEP-0357: removes one registration, or with an empty `node` all of that service."""
    jid = quoteattr(service or f"push.{client.address.domain}")
    at_node = f" node={quoteattr(node)}" if node else ""
    client.request("set", f"<disable xmlns='{ns.PUSH}' jid={jid}{at_node}/>")
