"""The test's side of foreign clients that use personal eventing."""

import itertools
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, cast

from gateway.mailbox import keys
from tests.support.iq import store_of
from tests.support.processes import PASSWORD, Account, Server
from tests.support.runners import Library, Runner

PepLibrary = Literal["slixmpp_pep", "aioxmpp_pep"]


class PepClient(Runner):
    """A client library in a process of its own; `interests` are the nodes it wants to be told of. Returns when the
    server knows them: it asks for them after the client's first presence.
    """

    def __init__(self, library: PepLibrary, server: Server, account: Account, *interests: str) -> None:
        super().__init__(cast(Library, library))
        self.account = account
        self.resource = secrets.token_hex(4)
        self._numbers = itertools.count(1)
        address = server.address()
        self.tell(
            "login", jid=f"{account.jid}/{self.resource}", password=PASSWORD, host=address.host, port=address.port,
            tls=address.tls, cafile=address.cafile, interests=list(interests),
        )  # fmt: skip
        self.wait("online")
        if interests:
            server.wait(lambda: self._is_known(server), "the client's interests to be known")

    def _is_known(self, server: Server) -> bool:
        at = keys.prefix(self.account.jid)
        with store_of(server) as store:
            sid = store.hget(keys.key(at, "resources", self.account.jid), self.resource)
            return sid is not None and bool(store.hget(keys.key(at, "session", sid.decode()), "notify"))

    def ask(self, do: str, **fields: Any) -> Any:
        """Has the client do something and answers what came of it; ["refused", conditions…] for an error."""
        number = next(self._numbers)
        self.tell(do, number=number, **fields)
        return self.wait("answer", number)["value"]

    def done(self, do: str, **fields: Any) -> None:
        """The same, for what has nothing to answer and must not be refused."""
        answer = self.ask(do, **fields)
        assert "done" == answer, answer


@contextmanager
def pep_client(library: PepLibrary, server: Server, account: Account, *interests: str) -> Iterator[PepClient]:
    """A client for the length of a with block."""
    client = PepClient(library, server, account, *interests)
    try:
        yield client
    finally:
        client.stop()
