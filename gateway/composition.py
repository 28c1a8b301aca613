"""The features of a process: what each of them declares (`gateway.hooks`), put together and in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from gateway.hooks import Feature, Handler, On, Reply, Services, SessionView, StanzaReceived, StreamFeatures
from gateway.xmpp.stanza import Element

H = TypeVar("H")
T = TypeVar("T")
V = TypeVar("V")


class FeatureClash(ValueError):
    """Two features claim the same payload, or a required feature is not there: a fault in the composition, found at
    the start.
    """


class Features:
    """The features of a process, with their handlers in order. Built once, at the start; raises FeatureClash."""

    def __init__(self, features: tuple[Feature, ...], off: Iterable[Feature] = ()) -> None:
        self.all = features
        self.names = names = frozenset(feature.name for feature in features)
        self.iq: dict[tuple[str, str, str], Handler] = {}
        self.open: set[tuple[str, str, str]] = set()
        self.replies: dict[str, Callable[[Reply], None]] = {}
        self.nonzas: dict[tuple[str, str], Callable[[SessionView, Element], None]] = {}
        self.hosts: set[str] = set()
        handlers: dict[type, list[On]] = {}
        for feature in features:
            for needed in feature.requires:
                if needed not in names:
                    raise FeatureClash(f"{feature.name} needs {needed}")
            for type_, table in (("get", feature.iq_get), ("set", feature.iq_set)):
                _claim(feature, f"iq {type_}", {(type_, *name): handler for name, handler in table.items()}, self.iq)
            _claim(feature, "answers to", feature.replies, self.replies)
            _claim(feature, "nonza", feature.nonzas, self.nonzas)
            self.open.update(feature.open)
            self.hosts.update(feature.hosts)
        for on in (*(on for one in features for on in one.hooks), *(on for one in off for on in one.without)):
            handlers.setdefault(on.hook, []).append(on)
        received = handlers.get(StanzaReceived, ())
        self._any_message = any(on.having is None for on in received)
        self._marks = frozenset[str]().union(*(on.having for on in received if on.having is not None))
        self._handlers = {
            hook: [on.handler for on in sorted(ons, key=lambda on: on.phase)] for hook, ons in handlers.items()
        }
        self.stream_features = "".join(feature.stream_features for feature in features)

    def begin(self, services: Services) -> None:
        """Fire StreamFeatures: before the first client comes."""
        self.stream_features += "".join(self.fire(StreamFeatures(services)).offered)

    def wants(self, hook: type) -> bool:
        """Whether anybody listens to this hook: spares making an event that nobody gets."""
        return hook in self._handlers

    def heeds(self, stanza: Element) -> bool:
        """Whether anybody has something to do with this stanza before it is routed (StanzaReceived)."""
        if stanza.name != "message" or self._any_message:
            return True
        marks = self._marks
        return any(child[0] in marks for child in stanza.children)

    def fire(self, event: H) -> H:
        """Hand `event` to every handler of its hook, in order of phase; answers the event as they left it."""
        for handler in self._handlers.get(type(event), ()):
            handler(event)
        return event


def _claim(feature: Feature, what: str, claims: Mapping[T, V], taken: dict[T, V]) -> None:
    for name, handler in claims.items():
        if name in taken:
            raise FeatureClash(f"{feature.name} claims {what} {name}, which is taken")
        taken[name] = handler
