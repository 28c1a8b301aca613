"""What a running gateway follows of its configuration: on SIGHUP, and a new certificate by itself.

What is in use stays in use when the new configuration has a fault, or the certificate and its key do not belong
together: whoever renews them replaces one after the other. Connections that are there keep what they agreed on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

import gevent

from gateway import telemetry
from gateway.mailbox.node_settings import NodesSettings
from gateway.sections import ServerSettings
from gateway.session.node import Node
from gateway.settings import ConfigError, Settings
from gateway.telemetry import LogSettings, get_logger
from gateway.transports.listener import Listener
from gateway.transports.tls import TlsSettings, context_for

log = get_logger(__name__)

FOLLOWED: Final[Mapping[str, tuple[str, ...]]] = {
    "tls": ("certificate", "key"),
    "log": ("level", "format"),
    "push": ("apps", "offered_grace"),
    "nodes": ("drain_rate", "drain_time", "see_other_host"),
}
"""section -> what of it a running gateway follows; all else needs a restart"""

LOOK_S: Final = 30.0
"""how often the files of the certificate are looked at"""


class Reloader:
    """Follows the configuration for one gateway. `again` reads it anew; raises ConfigError."""

    def __init__(self, node: Node, listeners: Sequence[Listener], again: Callable[[], Settings]) -> None:
        self._node = node
        self._listeners = listeners
        self._again = again
        self._files = _stamps(node.settings.of(TlsSettings))
        self._watcher: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to look at the certificate's files."""
        self._watcher = gevent.spawn(self._watch)

    def stop(self) -> None:
        """Follow no more."""
        if self._watcher is not None:
            self._watcher.kill(timeout=1)
            self._watcher = None

    def reload(self) -> None:
        """Read the configuration and the certificate again, and use them from now on."""
        try:
            new = self._again()
            merged, waiting = merge(self._node.settings, new)
            self._use_certificate(merged)
        except ConfigError as error:
            log.error("configuration_not_reloaded", faults=len(error.faults), first=error.faults[0])
            return
        telemetry.configure(merged.of(LogSettings))
        self._node.settings = self._node.router.settings = merged
        if waiting:
            log.warning("restart_needed", settings=", ".join(waiting))
        log.info("configuration_reloaded", drain_rate=merged.of(NodesSettings).drain_rate)

    def look(self) -> None:
        """Use the certificate's files if they have changed."""
        files = _stamps(self._node.settings.of(TlsSettings))
        if files == self._files:
            return
        try:
            self._use_certificate(self._node.settings)
        except ConfigError as error:  # the other one of the two comes soon
            log.warning("certificate_not_reloaded", reason=error.faults[0])

    def _use_certificate(self, settings: Settings) -> None:
        tls, server = settings.of(TlsSettings), settings.of(ServerSettings)
        files = _stamps(tls)
        context = context_for(tls, data_dir=server.data_dir, domains=server.domains)
        former = getattr(self._node.tls_context, "certificate_der", b"")
        self._node.tls_context = context
        for listener in self._listeners:
            listener.use(context)
        self._files = files
        if former != context.certificate_der:
            log.info("certificate_replaced")

    def _watch(self) -> None:
        while True:
            gevent.sleep(LOOK_S)
            try:
                self.look()
            except Exception:  # what is in use stays in use
                log.exception("certificate_not_looked_at")


def merge(old: Settings, new: Settings) -> tuple[Settings, list[str]]:
    """The old settings with what is followed of the new ones, and the names of others that differ."""
    sections: dict[str, Any] = {}
    waiting = []
    for name in old:
        followed = FOLLOWED.get(name, ())
        sections[name] = replace(old[name], **{field: getattr(new[name], field) for field in followed})
        differ = [one.name for one in fields(old[name]) if getattr(old[name], one.name) != getattr(new[name], one.name)]
        waiting += [f"{name}.{field}" for field in differ if field not in followed]
    return Settings(sections), waiting


def _stamps(tls: TlsSettings) -> tuple[tuple[int, int, int], ...]:
    """What tells a file from the one that was there before: a renewal replaces it, or what a link points at."""
    found = []
    for name in (tls.certificate, tls.key):
        try:
            status = Path(name).stat() if name else None
        except OSError:
            status = None
        found.append((status.st_mtime_ns, status.st_ino, status.st_size) if status is not None else (0, 0, 0))
    return tuple(found)
