"""A Redis that comes back with the data of a moment ago, as after a power cut or a failover."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.mailbox.embedded import EmbeddedServer

WAIT_S = 20.0


class OldDisk:
    """A server whose files can be kept aside, and put back under it when it is dead."""

    def __init__(self, server: EmbeddedServer, data_dir: Path) -> None:
        self.server = server
        self._files = data_dir / "redis" / "appendonlydir"
        self._aside = data_dir / "aside"

    def keep(self) -> None:
        """Remember the data as it is now."""
        shutil.rmtree(self._aside, ignore_errors=True)
        shutil.copytree(self._files, self._aside)

    def come_back(self) -> None:
        """Die, and start again with what was kept."""
        self.die()
        shutil.rmtree(self._files)
        shutil.copytree(self._aside, self._files)
        self.server.start()

    def die(self) -> None:
        """As by kill -9."""
        assert self.server.pid is not None
        os.kill(self.server.pid, signal.SIGKILL)
        self.server.wait(WAIT_S)
        self.server.stop()


@contextmanager
def an_old_disk(data_dir: Path) -> Iterator[OldDisk]:
    server = EmbeddedServer(data_dir, appendfsync="always")
    server.start()
    try:
        yield OldDisk(server, data_dir)
    finally:
        server.stop()
