"""What the push service answers to what: pure but for the mailboxes. One for each server whose component we are."""

from __future__ import annotations

import hmac
import re
import secrets
from importlib.metadata import version
from typing import Final

from gateway.mailbox.devices import Devices
from gateway.mailbox.errors import StoreError
from gateway.telemetry import get_logger, redact
from gateway.xmpp import ns
from gateway.xmpp.element import Element
from gateway.xmpp.errors import ErrorType, StanzaCondition, StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import NotAnElement
from gateway.xmpp.stanza import error_reply, iq_result
from workers.appserver.commands import Commands
from workers.appserver.published import Published, message, read
from workers.appserver.registration import Apps
from workers.appserver.settings import WAKE, PeerSettings

log = get_logger(__name__)

LARGEST: Final = 65_536
"""bytes of a stanza that is looked into: commands and publishes are small"""

_NODE: Final = re.compile(r"[0-9a-f]{32}")

FEATURES: Final = (ns.PUSH, ns.DISCO_INFO, ns.DISCO_ITEMS, ns.COMMANDS, ns.PING, ns.VERSION, ns.PUBSUB, ns.DATA_FORMS)


class Service:
    """The push service `domain`, as stanzas reach it through one server."""

    def __init__(self, domain: str, peer: PeerSettings, devices: Devices, apps: Apps) -> None:
        self._domain = domain
        self._peer = peer
        self._devices = devices
        self._apps = apps
        self._commands = Commands(domain, devices, apps)

    def answer(self, stanza: Element) -> bytes | None:
        """The answer to a stanza of ours, None for what gets none. Waits for the mailboxes; raises nothing."""
        if stanza.name != "iq" or stanza.attrs.get("type") not in ("get", "set"):
            return None
        try:
            return iq_result(stanza, self._answer(stanza))
        except StanzaError as error:
            return error_reply(stanza, error)
        except (NotAnElement, JIDError):
            return error_reply(stanza, StanzaError(StanzaCondition.BAD_REQUEST))
        except StoreError as error:
            log.warning("app_server_store", error=str(error))
            busy = StanzaError(StanzaCondition.INTERNAL_SERVER_ERROR, "try again later", type=ErrorType.WAIT)
            return error_reply(stanza, busy)

    def _answer(self, iq: Element) -> bytes:
        """The payload of the result. Raises StanzaError, StoreError, NotAnElement, JIDError."""
        if len(iq.raw) > LARGEST:
            raise StanzaError(StanzaCondition.NOT_ACCEPTABLE, f"more than {LARGEST} bytes")
        if len(iq.children) != 1:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "an iq request has exactly one payload")
        if JID.parse(iq.attrs.get("to", "")) != JID.parse(self._domain):
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, f"the push service is {self._domain}")
        asker = JID.parse(iq.attrs.get("from", ""))
        match (iq.attrs["type"], *iq.children[0]):
            case ("set", ns.PUBSUB, "pubsub"):
                self._published(read(iq), asker)
                return b""
            case ("set", ns.COMMANDS, "command"):
                if not asker.local:
                    raise StanzaError(StanzaCondition.FORBIDDEN, "devices are registered by users")
                return self._commands.execute(iq, asker)
            case ("get", ns.DISCO_INFO, "query"):
                return self._info(_node(iq, ns.DISCO_INFO))
            case ("get", ns.DISCO_ITEMS, "query"):
                return self._items(_node(iq, ns.DISCO_ITEMS))
            case ("get", ns.PING, "ping"):
                return b""
            case ("get", ns.VERSION, "query"):
                name, number = "Wakegate app server", version("wakegate")
                return f"<query xmlns='{ns.VERSION}'><name>{name}</name><version>{number}</version></query>".encode()
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)

    def _published(self, published: Published, asker: JID) -> None:
        """Returns when the phone's waking is durable. Raises StanzaError, StoreError."""
        gone = StanzaError(StanzaCondition.ITEM_NOT_FOUND, "no device is registered at this node")
        known = self._devices.find(published.node) if _NODE.fullmatch(published.node) else None
        if known is None:
            raise gone
        owner = JID.parse(known.owner)
        if asker.resource or asker.domain != owner.domain or asker.local not in ("", owner.local):
            raise StanzaError(StanzaCondition.FORBIDDEN, "only the server of whoever registered may publish")
        if known.secret and not hmac.compare_digest(known.secret.encode(), published.secret.encode()):
            log.info("app_server_wrong_secret", device=redact(published.node))
            raise StanzaError(StanzaCondition.FORBIDDEN, "the secret is another")
        if not (published.is_important or published.says_read or self._peer.unimportant == WAKE):
            return
        class_: Final = "read" if published.says_read else "call" if published.is_call else "message"
        kept = message(published, id_=secrets.token_hex(8), content=self._peer.content)
        count = published.count if published.count is not None else 1
        if not self._devices.notify(published.node, class_, count=count, message=kept):
            raise gone

    def _info(self, node: str) -> bytes:
        if node == "":
            identities = [("pubsub", "push", "Wakegate app server")]
            # Siskin looks for the push service that has its provider among its features.
            features = [*FEATURES, *(name for name in self._apps.apps if ":" in name)]
        elif node == ns.COMMANDS:
            identities, features = [("automation", "command-list", "Commands")], [ns.COMMANDS]
        elif node in self._commands.all:
            name = self._commands.all[node].name
            identities, features = [("automation", "command-node", name)], [ns.COMMANDS, ns.DATA_FORMS]
        else:
            raise StanzaError(StanzaCondition.ITEM_NOT_FOUND)
        inner = "".join(
            f"<identity category='{category}' type='{type_}' name='{escape(name)}'/>"
            for category, type_, name in identities
        )
        inner += "".join(f"<feature var='{escape(feature)}'/>" for feature in features)
        return f"<query xmlns='{ns.DISCO_INFO}'{_attribute(node)}>{inner}</query>".encode()

    def _items(self, node: str) -> bytes:
        items = ""
        if node == ns.COMMANDS:
            items = "".join(
                f"<item jid='{escape(self._domain)}' node='{escape(name)}' name='{escape(command.name)}'/>"
                for name, command in self._commands.all.items()
            )
        return f"<query xmlns='{ns.DISCO_ITEMS}'{_attribute(node)}>{items}</query>".encode()


def _node(iq: Element, namespace: str) -> str:
    query = next(iter(iq.payload().values())).get(f"{namespace}|query")
    return str(query.get("@node", "")) if isinstance(query, dict) else ""


def _attribute(node: str) -> str:
    return f" node='{escape(node)}'" if node else ""
