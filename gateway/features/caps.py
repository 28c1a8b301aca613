"""XEP-0115: Entity Capabilities, version 1.6. Clients' own: which nodes they want to be told of (`+notify`), by the
verification string in their presence. A string that nobody has shown yet is asked about, and checked.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final
from weakref import WeakKeyDictionary

from gateway.hooks import Feature, On, Phase, PresenceSending, Reply, Services, SessionView, Xep
from gateway.mailbox import keys
from gateway.mailbox.entry import IQ_RESPONSE
from gateway.mailbox.errors import StoreError
from gateway.mailbox.interests import Interests
from gateway.mailbox.library import function
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.model import Placed
from gateway.telemetry import get_logger
from gateway.xmpp import caps, ns, tree
from gateway.xmpp.caps import Described, IllFormed
from gateway.xmpp.element import Element
from gateway.xmpp.errors import StanzaError
from gateway.xmpp.escape import escape
from gateway.xmpp.payload import NotAnElement

log = get_logger(__name__)

REQUEST: Final = "caps"
"""what ids of our requests begin with"""

NOTIFY: Final = "+notify"

LONGEST: Final = 512
"""characters of an attribute of <c/>; what is longer is no caps"""

MOST_NODES: Final = 100
"""nodes that one client may want"""

REMEMBERED: Final = 4096
"""strings in this process' memory, and sessions whose string it knows"""


@dataclass(frozen=True, slots=True)
class Claim:
    """<c/> in a presence: `hash` is "" in the format of before version 1.4, which proves nothing."""

    hash: str
    ver: str
    node: str

    @property
    def field(self) -> str:
        """Under which what it stands for is kept."""
        return f"{self.hash}#{self.ver}"


def claim_of(element: Element) -> Claim | None:
    """What the presence claims; None if nothing that could be followed up."""
    if not element.has(ns.CAPS, "c"):
        return None
    found = next(iter(element.payload().values()))[f"{ns.CAPS}|c"]
    if not isinstance(found, dict):
        return None
    claim = Claim(*(found.get(name, "") for name in ("@hash", "@ver", "@node")))
    is_short = max(len(claim.hash), len(claim.ver), len(claim.node)) <= LONGEST
    return claim if claim.ver and claim.node and is_short and ":" not in claim.hash else None


def wanted(described: Described) -> str:
    """The nodes that the client wants to be told of, each between line feeds; "" for none."""
    nodes = [name.removesuffix(NOTIFY) for name in described.features if name.endswith(NOTIFY)]
    kept = [node for node in nodes if node and len(node) <= LONGEST and "\n" not in node][:MOST_NODES]
    return "\n" + "".join(node + "\n" for node in kept) if kept else ""


class Memory:
    """What this process knows: nodes wanted by string, and the string that each session claimed last."""

    _all: WeakKeyDictionary[Mailbox, Memory] = WeakKeyDictionary()

    def __init__(self) -> None:
        self.nodes: OrderedDict[str, str] = OrderedDict()
        self.claims: OrderedDict[str, str] = OrderedDict()

    @classmethod
    def of(cls, services: Services) -> Memory:
        """This process' own."""
        return cls._all.setdefault(services.mailbox, cls())

    @staticmethod
    def put(where: OrderedDict[str, str], name: str, value: str) -> None:
        """Keep the newest."""
        where[name] = value
        where.move_to_end(name)
        if len(where) > REMEMBERED:
            where.popitem(last=False)


def known(claim: Claim, services: Services) -> str | None:
    """The nodes that this string stands for; None if nobody has shown it. May wait for the store."""
    memory = Memory.of(services).nodes
    if claim.field in memory:
        return memory[claim.field]
    found = services.mailbox.journal.call("HGET", keys.CAPS, claim.field) if claim.hash in caps.HASHES else None
    if found is None:
        return None
    Memory.put(memory, claim.field, found.decode())
    return memory[claim.field]


def note(event: PresenceSending) -> None:
    """Keep what the client wants, before its presence is taken: so contacts' last items come with their presence."""
    session, services = event.session, event.services
    claims, sid = Memory.of(services).claims, session.grip.sid
    claim = claim_of(event.element) if event.priority is not None else None
    if claim is None:
        claims.pop(sid, None)
        Interests.of(services).keep(session.jid, session.grip, "")
        return
    is_new = claims.get(sid) != claim.field
    Memory.put(claims, sid, claim.field)
    nodes = known(claim, services)
    if nodes is not None:
        Interests.of(services).keep(session.jid, session.grip, nodes)
    elif is_new:
        ask(session, claim, services)


def ask(session: SessionView, claim: Claim, services: Services) -> None:
    """XEP-0115 section 6.2, by the account. All that has to be known of the answer stands in the request's id."""
    request = (
        f"<iq type='get' id='{REQUEST}:{escape(claim.hash)}:{escape(claim.ver)}' from='{escape(str(session.jid.bare))}'"
        f" to='{escape(str(session.jid))}'>"
        f"<query xmlns='{ns.DISCO_INFO}' node='{escape(claim.node)}#{escape(claim.ver)}'/></iq>"
    )

    def done(answer: object) -> None:
        if isinstance(answer, tuple) and answer[0] == "ok":
            services.announce((Placed(session.grip.sid, services.mailbox.node, answer[1]),))

    services.mailbox.append(session.grip, kind=IQ_RESPONSE, flags="", inbound=None, stanza=request.encode(), done=done)


def learn(reply: Reply) -> None:
    """XEP-0115 section 5.4: what the string stands for is kept for everybody if it proves itself; else it holds for
    this session alone.
    """
    session, services = reply.session, reply.services
    _, hash_name, ver = reply.iq.attrs["id"].split(":", 2) if reply.iq.attrs["id"].count(":") > 1 else ("", "", "")
    if reply.iq.attrs.get("type") != "result" or not ver or len(ver) > LONGEST:
        return
    try:
        described = caps.read(tree.read(reply.iq, 1).children[0].xml)
        nodes = wanted(described)
    except (IllFormed, NotAnElement, StanzaError, IndexError) as fault:
        log.info("caps_unreadable", session=session.grip.sid, error=str(fault))
        return
    field = f"{hash_name}#{ver}"
    if proves(described, hash_name, ver):
        Memory.put(Memory.of(services).nodes, field, nodes)
        services.mailbox.journal.submit(_kept, "FCALL", function("caps_keep"), 1, keys.CAPS, field, nodes)
    if Memory.of(services).claims.get(session.grip.sid, field) == field:
        Interests.of(services).keep(session.jid, session.grip, nodes)


def proves(described: Described, hash_name: str, ver: str) -> bool:
    """The answer is well-formed, and its hash is the string."""
    if hash_name not in caps.HASHES:
        return False
    try:
        described.check()
    except IllFormed:
        return False
    return caps.verification(described.identities, described.features, described.forms, hash_name=hash_name) == ver


def _kept(reply: object) -> None:
    if isinstance(reply, StoreError):
        log.info("caps_not_kept", error=str(reply))


FEATURE = Feature(
    name="caps",
    xep=Xep(115, "1.6.0"),
    disco=(ns.CAPS,),
    account_disco=(ns.CAPS,),
    replies={REQUEST: learn},
    hooks=(On(PresenceSending, note, Phase.OBSERVE),),
    requires=("pep",),
)
