"""The gateway process: the one place where its parts are put together, started and stopped."""

from __future__ import annotations

import gc
import secrets
import signal
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import gevent
from gevent.event import Event

from gateway.archive import opening
from gateway.composition import Features
from gateway.features import offline
from gateway.features.selection import FeatureSettings, selected
from gateway.limits.hits import process_hits
from gateway.limits.process import Limits, TurnedAway
from gateway.mailbox import keys, nodes
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.errors import StoreError
from gateway.mailbox.journal import Journal
from gateway.mailbox.mailbox import Mailbox
from gateway.mailbox.membership import Membership, NodeNameTaken
from gateway.mailbox.memory import warn_of_eviction
from gateway.mailbox.node_settings import NodesSettings
from gateway.mailbox.notices import WHY, Subscriber
from gateway.mailbox.opening import open_journal, open_subscriber
from gateway.mailbox.settings import OfflineSettings, RedisSettings, SmacksSettings
from gateway.reloading import Reloader
from gateway.router import Router
from gateway.sections import LimitSettings, ListenSettings, ServerSettings
from gateway.session.caretaker import Caretaker
from gateway.session.component import component_domains, serve_components
from gateway.session.connection import HANDSHAKE_S, serve
from gateway.session.drain import STORE_AWAY_S, Drain
from gateway.session.node import Node, Registry
from gateway.session.proof import Proof
from gateway.session.rhythm import Rhythm
from gateway.session.stream import farewell
from gateway.session.watch import Watch
from gateway.settings import Settings
from gateway.supervisor import notify_ready
from gateway.telemetry import get_logger
from gateway.transports.listener import Listener
from gateway.transports.proxy_protocol import Proxies
from gateway.transports.tls import TlsSettings, context_for

log = get_logger(__name__)

REDIS_AT_START_S = 30.0
"""how long a start waits for Redis, which may be starting itself"""

LOOK_AROUND_S = 0.5
"""how often one that lets its clients go looks whether there is still somebody to whom they can go"""

FLUSH_S = 2.0
"""how long a stop waits for what the journal still has to write"""


def new_id() -> str:
    """A random id with 120 bits: resources, stream ids, session ids that nobody can guess."""
    return secrets.token_urlsafe(15)


@dataclass
class Gateway:
    """A running gateway process."""

    node: Node
    journal: Journal
    subscriber: Subscriber
    membership: Membership
    caretaker: Caretaker
    listeners: list[Listener]
    watch: Watch
    reloader: Reloader
    stop_wanted: Event = field(default_factory=Event)
    hurry: Event = field(default_factory=Event)
    is_replaced: bool = False

    @classmethod
    def build(cls, settings: Settings, again: Callable[[], Settings] | None = None) -> Gateway:
        """Put the parts together. `again` reads the settings anew. Raises ConfigError; connects to nothing."""
        server, redis = settings.of(ServerSettings), settings.of(RedisSettings)
        smacks, tls, limits = settings.of(SmacksSettings), settings.of(TlsSettings), settings.of(LimitSettings)
        domains = frozenset(server.domains)
        journal = open_journal(redis, server.data_dir)
        journal.call_timeout_s = max(redis.timeout_s, redis.patience)  # whoever waits stays for as long as all others
        registry, features, rhythm = (
            Registry(),
            selected(settings.of(FeatureSettings)),
            Rhythm(smacks, inactive_ack_delay_s=settings["push"].inactive_ack_delay),
        )
        components = component_domains(settings, features)
        mailbox = Mailbox(
            journal,
            node=server.node_name,
            smacks=smacks,
            offline=_offline(settings, features),
            components=components,
        )
        router = Router(
            node=server.node_name,
            domains=domains,
            mailbox=mailbox,
            features=features,
            settings=settings,
            placed=registry.placed,
            recheck=registry.recheck,
            components=components,
        )
        features.begin(router)
        context = context_for(tls, data_dir=server.data_dir, domains=server.domains)
        node = Node(
            name=server.node_name,
            domains=domains,
            mailbox=mailbox,
            accounts=Accounts(journal),
            settings=settings,
            features=features,
            router=router,
            registry=registry,
            rhythm=rhythm,
            tls_context=context,
            tls_required=tls.required,
            new_id=new_id,
        )
        subscriber = open_subscriber(
            redis,
            server.data_dir,
            node.name,
            journal=journal,
            on_entry=lambda sid, position, stanza: _noticed(registry, sid, position, stanza),
            on_conflict=lambda sid, epoch: _taken(registry, sid, epoch),
            on_removed=lambda sid, why: _removed(registry, sid, why),
            on_connected=lambda: gevent.spawn(caretaker.check_tails),
        )
        membership = Membership(journal, node.name, heartbeat_s=settings.of(NodesSettings).heartbeat_s)
        caretaker = Caretaker(node, membership, replaced=lambda: gateway.replaced())
        listen = settings.of(ListenSettings)
        if listen.websocket:
            log.warning("websocket_not_available_yet", addresses=listen.websocket)
        guard = Limits(limits, hits=process_hits(), waiting=lambda: journal.waiting)
        most, patience, proxies = limits.max_connections, limits.write_timeout, Proxies(listen.proxy_protocol)

        def goodbye(away: TurnedAway) -> bytes:
            return farewell(away, domain=server.domains[0], stream_id=new_id(), see_other_host=limits.see_other_host)

        listeners = [
            Listener(
                listen.components if components else [],
                serve_components(node),
                max_connections=most,
                write_timeout_s=patience,
            ),
            Listener(
                listen.c2s,
                serve(node),
                max_connections=most,
                write_timeout_s=patience,
                limits=guard,
                farewell=goodbye,
                proxies=proxies,
            ),
            Listener(
                listen.c2s_tls,
                serve(node),
                direct_tls=context,
                max_connections=most,
                handshake_timeout_s=min(HANDSHAKE_S, limits.negotiation_timeout),
                write_timeout_s=patience,
                limits=guard,
                proxies=proxies,
            ),
        ]
        reloader, watch = Reloader(node, listeners, again or (lambda: settings)), Watch(guard, journal, node.name)
        gateway = cls(node, journal, subscriber, membership, caretaker, listeners, watch, reloader)
        return gateway

    def start(self) -> None:
        """Connect to Redis, then listen. Raises StoreUnavailable, ConfigError, NodeNameTaken."""
        self.journal.proof = Proof(self.node)
        self.journal.start()
        self.journal.wait_up(REDIS_AT_START_S)
        self.membership.join()
        self.journal.on_reconnect = lambda: gevent.spawn(self.caretaker.check_tails)
        self.node.decoy_secret = self.node.accounts.decoy_secret()
        opening.prepare(self.node.settings, self.journal)
        self._reap_predecessor()
        warn_of_eviction(self.journal)
        self.node.rhythm.start()
        self.subscriber.start()
        self.caretaker.start()
        self.watch.start()
        for listener in self.listeners:
            listener.start()
        self.reloader.start()
        log.info(
            "gateway_started", node=self.node.name, addresses=[a for each in self.listeners for a in each.addresses]
        )

    def _reap_predecessor(self) -> None:
        """Sessions of a process that had this name and died: nobody else would notice, now that the
        name beats again.
        """
        settings = self.node.settings
        sweep = nodes.Sweep(self.journal, smacks=settings.of(SmacksSettings), offline=settings.of(OfflineSettings))
        for bucket in range(keys.BUCKETS):
            sweep.reap(bucket, self.node.name)

    def stop(self) -> None:
        """Stop listening, put every session to sleep with its last h told, and leave: no stream is closed that may be
        resumed.
        """
        for listener in self.listeners:
            listener.stop_accepting()
        try:
            self._drain()
        except StoreError as late:
            log.warning("stop_incomplete", connections=len(self.node.connections), error=str(late))
        self.reloader.stop()
        self.caretaker.stop()
        self.watch.stop()
        self.subscriber.stop()
        self.node.rhythm.stop()
        self.journal.stop(FLUSH_S if self.journal.is_up else 0.0)
        log.info("gateway_stopped", node=self.node.name)

    def _drain(self) -> None:
        """End every connection. Raises StoreUnavailable when Redis is away: a sweeper will find the sessions later."""
        others = not self.is_replaced and self.membership.begin_to_leave(STORE_AWAY_S / 2)
        alone = gevent.spawn(self._hurry_when_alone) if others else None
        try:
            Drain(self.node, in_waves=others, hurry=self.hurry).run()
        finally:
            gevent.killall([alone] if alone else [])
        self.journal.wait_up(STORE_AWAY_S)
        if not self.is_replaced:
            self.membership.leave(STORE_AWAY_S)

    def _hurry_when_alone(self) -> None:
        """Several that are told to end at once know of each other a moment later only."""
        while self.membership.others_stay(STORE_AWAY_S / 2):
            gevent.sleep(LOOK_AROUND_S)
        self.hurry.set()

    def end_wanted(self) -> None:
        """Somebody asks for the end; asked twice, without waves."""
        if self.stop_wanted.is_set():
            self.hurry.set()
        self.stop_wanted.set()

    def replaced(self) -> None:
        """Another process has the name by now, and with it all that was this one's: nothing is left to do here."""
        if not self.is_replaced:
            log.error("node_replaced", node=self.node.name)
            self.is_replaced = True
            self.stop_wanted.set()


def _offline(settings: Settings, features: Features) -> OfflineSettings:
    found = settings.of(OfflineSettings)
    return found if offline.NAME in features.names else replace(found, access_max_user_messages=0)


def _noticed(registry: Registry, sid: str, position: int, stanza: bytes) -> None:
    session = registry.get(sid)
    if session is not None and position:
        session.cursor.notice(position, stanza)
    elif session is not None:
        session.cursor.look()


def _taken(registry: Registry, sid: str, epoch: int) -> None:
    session = registry.get(sid)
    if session is not None and (epoch == 0 or session.grip.epoch < epoch):
        session.lost()


def _removed(registry: Registry, sid: str, why: str) -> None:
    session = registry.get(sid)
    if session is not None:
        session.removed(WHY.get(why, ""))


def calm_collector() -> None:
    """Look for reference cycles less often: stanzas make none, and a third of the CPU of a busy gateway went into the
    search.

    What exists now stays, so it is taken out of the search for good.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def run(settings: Settings, again: Callable[[], Settings]) -> None:
    """Serve until SIGTERM or SIGINT, and follow what `again` reads of the configuration on SIGHUP; tells the supervisor
    when it serves. Raises ConfigError, StoreUnavailable when it cannot start, NodeNameTaken then or later.
    """
    gateway = Gateway.build(settings, again)
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, gateway.end_wanted)
    gevent.signal_handler(signal.SIGHUP, gateway.reloader.reload)
    gateway.start()
    calm_collector()
    notify_ready()
    gateway.stop_wanted.wait()
    gateway.stop()
    if gateway.is_replaced:
        raise NodeNameTaken(f'another gateway has taken the name "{gateway.node.name}"')
