"""`wakegate gateway` and `wakegate redis`: one process each, for any supervisor."""

from __future__ import annotations

import signal
from pathlib import Path

import click
import gevent
from gevent.event import Event

from gateway.configuration import begin, config_option, read
from gateway.mailbox.embedded import EMBEDDED, EmbeddedServer, EmbeddedServerError
from gateway.mailbox.settings import RedisSettings
from gateway.sections import ServerSettings
from gateway.settings import ConfigError
from gateway.supervisor import notify_ready


@click.command()
@config_option
def gateway(config: tuple[Path, ...]) -> None:
    """Run one gateway: XMPP clients connect to it. Several share the ports of one machine.

    Example: wakegate gateway --config config/wakegate.toml
    """
    from gateway.app import run  # the other commands need none of it

    run(begin(config), again=lambda: read(config))


@click.command()
@config_option
def redis(config: tuple[Path, ...]) -> None:
    """Run the embedded Redis in the foreground.

    Example: wakegate redis --config config/wakegate.toml
    """
    settings = begin(config)
    redis_settings = settings.of(RedisSettings)
    if redis_settings.url != EMBEDDED:
        raise ConfigError('redis.url: another Redis is configured; "embedded" is needed to run this one')
    server = EmbeddedServer(
        settings.of(ServerSettings).data_dir,
        appendfsync=redis_settings.appendfsync,
        maxmemory_mib=redis_settings.maxmemory,
    )
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    server.start()
    try:
        notify_ready()
        ended = gevent.spawn(server.wait)
        gevent.wait([stopping, ended], count=1)
        if not stopping.is_set():
            raise EmbeddedServerError(f"the embedded server ended by itself, status {ended.value}")
    finally:
        server.stop()
