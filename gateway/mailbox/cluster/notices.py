"""Where notices are listened to on a cluster: at the master of the channel's slot, followed when the slot moves.

Notices are sharded pub/sub (SPUBLISH): a message goes to one shard. Plain PUBLISH would carry each notice to every node
of the cluster, so that a cluster could not grow with its gateways.
"""

from __future__ import annotations

import socket
from weakref import WeakKeyDictionary

from gateway.mailbox.cluster.journal import ClusterJournal
from gateway.mailbox.cluster.shard import CONNECT_S
from gateway.mailbox.cluster.slots import slot_of
from gateway.mailbox.dial import Address, Part, dial, shut
from gateway.mailbox.errors import StoreUnavailable


class SlotSource:
    """See `dial.Source`: connections to the master of a key's, or channel's, slot, as `journal` knows it.

    A connection is shut down when another master has the slot.
    """

    def __init__(self, journal: ClusterJournal, key: Part) -> None:
        self._journal = journal
        self._slot = slot_of(key)
        self._open: WeakKeyDictionary[socket.socket, Address] = WeakKeyDictionary()
        journal.followers.append(self._follow)

    def locate(self, timeout_s: float) -> Address:
        """See `dial.Source`."""
        self._journal.look_again()
        owner = self._journal.owner(self._slot, timeout_s)
        if owner is None:
            raise StoreUnavailable(f"nobody serves slot {self._slot}")
        return owner

    def dial(self, timeout_s: float) -> socket.socket:
        """See `dial.Source`."""
        owner = self.locate(timeout_s)
        connection = dial(owner, timeout_s, connect_s=CONNECT_S)
        self._open[connection] = owner
        return connection

    def _follow(self) -> None:
        owner = self._journal.owner(self._slot)
        for connection, then in list(self._open.items()):
            if owner is not None and owner != then and connection.fileno() >= 0:
                shut(connection)
