"""The test's side of foreign clients as devices of an account: blocking, carbons, client state, offline messages."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

from tests.support.processes import PASSWORD, Account, Server
from tests.support.runners import Library, Runner

DeviceLibrary = Literal["slixmpp_devices", "slixmpp_calls", "slixmpp_markers", "aioxmpp_devices"]


class DeviceClient(Runner):
    """A client library in a process of its own, logged in; `available`: it has sent presence."""

    def __init__(
        self, library: DeviceLibrary, server: Server, account: Account, resource: str, *, available: bool = True
    ) -> None:
        super().__init__(cast(Library, library))
        self.account = account
        self.jid = f"{account.jid}/{resource}"
        self._numbers = itertools.count(1)
        address = server.address()
        self.tell(
            "login", jid=self.jid, password=PASSWORD, host=address.host, port=address.port, tls=address.tls,
            cafile=address.cafile, available=available,
        )  # fmt: skip
        self.wait("online")

    def ask(self, do: str, **fields: Any) -> Any:
        """Has the client do something and answers what came of it; ["refused", condition] for an error."""
        number = next(self._numbers)
        self.tell(do, number=number, **fields)
        return self.wait("answer", number)["value"]

    def say(self, to: str, body: str) -> None:
        """Sends a chat message, and waits until the server has answered something sent after it."""
        assert "done" == self.ask("say", to=to, body=body)


@contextmanager
def device(
    library: DeviceLibrary, server: Server, account: Account, resource: str = "phone", *, available: bool = True
) -> Iterator[DeviceClient]:
    """A client for the length of a with block."""
    client = DeviceClient(library, server, account, resource, available=available)
    try:
        yield client
    finally:
        client.stop()
