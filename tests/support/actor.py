"""A client as RFC 6121 and XEP-0198 want one: it comes back after every loss of its link, resumes, sends again what was
not acknowledged, and keeps what it is told of its contacts. Whatever it shows is what its user would see.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from xml.etree.ElementTree import Element

import gevent
from gevent.lock import RLock

from gateway.demo.stream import Address, ClientStream, ServerSilent, StreamEnded, Unexpected
from gateway.xmpp import caps, ns
from tests.support.archive import FORWARDED, MAM
from tests.support.eventing import EVENT
from tests.support.people import IQ, ITEM, MESSAGE, PRESENCE, QUERY
from tests.support.phone import sm, stanza
from tests.support.processes import PASSWORD, Account

TUNE = "http://jabber.org/protocol/tune"
FEATURES = sorted([ns.DISCO_INFO, f"{TUNE}+notify"])
CAPS = f"<c xmlns='{ns.CAPS}' hash='sha-1' node='https://actor.example' ver='%s'/>"
ITEMS = f"{{{ns.BLOCKING}}}item"


class Actor:
    """`start()` keeps it connected until `leave()`. What it knows:

    `view`: full JID -> status of who is available; `roster`: contact -> subscription, with " ask" behind it;
    `blocked`; `tunes`: account -> title of its last event; `said`: bodies of messages and copies, in order;
    `archived`: bodies of each query's results, by its id.
    """

    def __init__(self, account: Account, resource: str, address: Callable[[], Address], *, most_s: int = 0) -> None:
        self.account, self.resource = account, resource
        self.jid = f"{account.jid}/{resource}"
        self.view: dict[str, str] = {}
        self.roster: dict[str, str] = {}
        self.blocked: set[str] = set()
        self.tunes: dict[str, str] = {}
        self.said: list[str] = []
        self.archived: dict[str, list[str]] = {}
        self.answers: dict[str, Element] = {}
        self.counts: Counter[str] = Counter()
        self.status = ""
        self._enable = f"<enable xmlns='{ns.SM}' resume='true'{f' max={chr(39)}{most_s}{chr(39)}' if most_s else ''}/>"
        self._address = address
        self._session_id, self._inbound, self._sent, self._acked = "", 0, 0, 0
        self._unacked: deque[str] = deque()
        self._stream: ClientStream | None = None
        self._is_open = self._leaving = False
        self._writing = RLock()
        self._running: gevent.Greenlet | None = None
        self._names = 0

    # Its life

    def start(self) -> Actor:
        """Connects and stays so; the first thing that it sends is what a client begins with."""
        self._running = gevent.spawn(self._run)
        self.ask("get", f"<query xmlns='{ns.ROSTER}'/>")
        self.ask("get", f"<blocklist xmlns='{ns.BLOCKING}'/>")
        self.ask("set", f"<enable xmlns='{ns.CARBONS}'/>")
        self.presence("here")
        return self

    def leave(self) -> None:
        """The end without a word."""
        self._leaving = True
        if self._running is not None:
            self._running.kill()
        if self._stream is not None:
            self._stream.cut()

    def is_settled(self) -> bool:
        """Connected, and everything it sent is acknowledged."""
        with self._writing:
            if self._is_open:
                self._write(f"<r xmlns='{ns.SM}'/><a xmlns='{ns.SM}' h='{self._inbound}'/>")
        return self._is_open and not self._unacked

    def cut(self) -> None:
        """Its link breaks, if it has one; it will be back."""
        if self._stream is not None and self._is_open:
            self._stream.cut()

    # Out

    def send(self, text: str) -> None:
        """One stanza, now or when it is connected again."""
        with self._writing:
            self._unacked.append(text)
            if self._is_open:
                self._sent += 1
                self._write(text + f"<r xmlns='{ns.SM}'/>")

    def ask(self, type_: str, payload: str, to: str = "") -> str:
        """A request; its id, under which `answers` will have the answer."""
        self._names += 1
        name = f"{self.resource}{self._names}"
        at = f" to='{to}'" if to else ""
        self.send(f"<iq type='{type_}' id='{name}'{at}>{payload}</iq>")
        return name

    def presence(self, status: str) -> None:
        self.status = status
        ver = caps.verification([("client", "phone", "Test")], FEATURES)
        self.send(f"<presence><status>{status}</status>{CAPS % ver}</presence>")

    def subscription(self, to: str, type_: str) -> None:
        self.send(f"<presence to='{to}' type='{type_}'/>")

    def message(self, to: str, body: str) -> None:
        self.send(f"<message to='{to}' type='chat'><body>{body}</body></message>")

    def publish(self, title: str) -> None:
        item = f"<item id='current'><tune xmlns='{TUNE}'><title>{title}</title></tune></item>"
        self.ask("set", f"<pubsub xmlns='{ns.PUBSUB}'><publish node='{TUNE}'>{item}</publish></pubsub>")

    def query(self, after: str = "") -> str:
        """Asks for its archive."""
        rsm = f"<set xmlns='{ns.RSM}'><max>250</max>{after}</set>"
        name = f"a{self.resource}{self._names}"
        self.archived[name] = []
        self.ask("set", f"<query xmlns='{ns.MAM}' queryid='{name}'>{rsm}</query>")
        return name

    # Its connection

    def _run(self) -> None:
        while not self._leaving:
            try:
                self._connect()
                while True:
                    self._take(self._next())
            except (StreamEnded, ServerSilent, Unexpected, OSError, ValueError):  # ValueError: cut while it reads
                self._is_open = False
                self.counts["lost"] += 1
                if self._stream is not None:
                    self._stream.cut()
                gevent.sleep(0.05)

    def _next(self) -> Element:
        assert self._stream is not None
        with gevent.Timeout(60, ServerSilent("nothing for a minute")):
            return self._stream.receive(60)

    def _connect(self) -> None:
        self._stream = stream = ClientStream(self._address(), timeout_s=10)
        stream.connect()
        stream.authenticate(self.account.name, PASSWORD)
        if self._session_id:
            answer = stream.request(f"<resume xmlns='{ns.SM}' previd='{self._session_id}' h='{self._inbound}'/>")
            if answer.tag != sm("resumed"):
                self.counts["refused"] += 1
                raise Unexpected(f"{self.jid}: not resumed")
            self.counts["resumed"] += 1
            self._drop_acked(int(answer.get("h", "0")))
        else:
            bind = f"<bind xmlns='{ns.BIND}'><resource>{self.resource}</resource></bind>"
            stream.request(f"<iq type='set' id='bind'>{bind}</iq>", IQ)
            self._session_id = stream.request(self._enable, sm("enabled")).get("id", "")
            self._inbound = self._sent = self._acked = 0
        with self._writing:
            self._is_open = True
            self._sent = self._acked + len(self._unacked)
            self._write("".join(self._unacked) + f"<r xmlns='{ns.SM}'/>")

    def _write(self, text: str) -> None:
        assert self._stream is not None
        try:
            self._stream.send(text)
        except (OSError, StreamEnded):
            self._is_open = False

    def _drop_acked(self, h: int) -> None:
        with self._writing:
            while self._acked < h and self._unacked:
                self._unacked.popleft()
                self._acked += 1

    # In

    def _take(self, element: Element) -> None:
        if element.tag == sm("a"):
            self._drop_acked(int(element.get("h", "0")))
        elif element.tag == sm("r"):
            with self._writing:
                self._write(f"<a xmlns='{ns.SM}' h='{self._inbound}'/>")
        elif element.tag in (MESSAGE, PRESENCE, IQ):
            self._inbound += 1
            handler = {MESSAGE: self._hear, PRESENCE: self._see, IQ: self._answered}[element.tag]
            handler(element)

    def _see(self, element: Element) -> None:
        from_ = element.get("from", "")
        if "/" in from_ and element.get("type") == "unavailable":
            self.view.pop(from_, None)
        elif "/" in from_ and element.get("type") is None:
            self.view[from_] = element.findtext(stanza("status")) or ""
        elif "/" not in from_:
            self.counts[element.get("type", "")] += 1

    def _hear(self, element: Element) -> None:
        result = element.find(f"{MAM}result")
        event = element.find(f"{EVENT}/")
        if result is not None:
            body = element.findtext(f"{FORWARDED}/{MESSAGE}/{stanza('body')}") or ""
            self.archived[result.get("queryid", "")].append(body)
        elif event is not None:
            title = next(event.iter(f"{{{TUNE}}}title"), None)
            self.tunes[element.get("from", "")] = "" if title is None else title.text or ""
        else:
            self.said += [body.text or "" for body in element.iter(stanza("body"))]

    def _answered(self, element: Element) -> None:
        name, type_ = element.get("id", ""), element.get("type")
        if type_ == "get":
            self._tell_features(element)
        elif type_ == "set":
            self._pushed(element)
        else:
            self.answers[name] = element
            if element.find(QUERY) is not None:
                self.roster = {}
                self._keep_roster(element)
            if element.find(f"{{{ns.BLOCKING}}}blocklist") is not None:
                self.blocked = {item.get("jid", "") for item in element.iter(ITEMS)}

    def _pushed(self, element: Element) -> None:
        named = {item.get("jid", "") for item in element.iter(ITEMS)}
        if element.find(QUERY) is not None:
            self._keep_roster(element)
        elif element.find(f"{{{ns.BLOCKING}}}block") is not None:
            self.blocked |= named
        elif element.find(f"{{{ns.BLOCKING}}}unblock") is not None:
            self.blocked = self.blocked - named if named else set()

    def _keep_roster(self, element: Element) -> None:
        for item in element.iter(ITEM):
            contact, subscription = item.get("jid", ""), item.get("subscription", "")
            self.roster[contact] = subscription + (" ask" if item.get("ask") else "")
            if subscription == "remove":
                del self.roster[contact]

    def _tell_features(self, request: Element) -> None:
        listed = "".join(f"<feature var='{name}'/>" for name in FEATURES)
        node = request[0].get("node", "")
        self.send(
            f"<iq type='result' id='{request.get('id')}' to='{request.get('from')}'><query xmlns='{ns.DISCO_INFO}' "
            f"node='{node}'><identity category='client' type='phone' name='Test'/>{listed}</query></iq>"
        )
