"""A server that says it is a node of a cluster, and answers commands as a test's script has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hiredis
from gevent import socket
from gevent.server import StreamServer

from gateway.mailbox import library

Script = Callable[[list[str]], str | None]
"""Answers a command with what goes over the wire; None: "+OK" """

QUEUED = "+QUEUED\r\n"


class Node:
    """One node. `slots`: who has which, as it tells it; `heard`: commands of the journal, without the opening's."""

    def __init__(self) -> None:
        self.script: Script = lambda _command: None
        self.slots: list[tuple[int, int, int]] = []
        self.epoch = 1
        self.heard: list[list[str]] = []
        self._clients: list[Any] = []
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.port: int = self._server.server_port
        self.asked = 0

    def stop(self) -> None:
        """Nobody is here any more, and connections end."""
        self._server.stop(timeout=0)
        for client in self._clients:
            client.close()

    def _serve(self, client: Any, _peer: Any) -> None:
        self._clients.append(client)
        reader = hiredis.Reader(encoding="utf-8", errors="replace")
        queued: list[str] | None = None
        try:
            while data := client.recv(65536):
                reader.feed(data)
                while (command := reader.gets()) is not False:
                    answer, queued = self._answer(command, queued)
                    client.sendall(answer.encode())
        except OSError:
            return

    def _answer(self, command: list[str], queued: list[str] | None) -> tuple[str, list[str] | None]:
        opening = self._of_opening(command)
        if opening is not None:
            return opening, queued
        if command[0] == "MULTI":
            return "+OK\r\n", []
        if command[0] == "EXEC":
            assert queued is not None
            if any(answer.startswith("-") for answer in queued):
                return "-EXECABORT Transaction discarded because of previous errors.\r\n", None
            return f"*{len(queued)}\r\n" + "".join(queued), None
        self.heard.append(command)
        answer = self.script(command) or "+OK\r\n"
        if queued is None:
            return answer, None
        queued.append(answer)
        return (answer if answer.startswith("-") else QUEUED), queued

    def _of_opening(self, command: list[str]) -> str | None:
        if command[:2] == ["CLUSTER", "INFO"]:
            self.asked += 1
            text = f"cluster_state:ok\r\ncluster_current_epoch:{self.epoch}\r\n"
            return f"${len(text)}\r\n{text}\r\n"
        if command[:2] == ["CLUSTER", "SLOTS"]:
            ranges = [
                f"*3\r\n:{low}\r\n:{high}\r\n*3\r\n$9\r\n127.0.0.1\r\n:{port}\r\n$2\r\nid\r\n"
                for low, high, port in self.slots
            ]
            return f"*{len(ranges)}\r\n" + "".join(ranges)
        if command[0] == "HKEYS":
            return "*0\r\n"
        answers = {library.function("present"): ":1\r\n", library.function("survey"): ":-1\r\n"}
        answers[library.function("run_id")] = "$1\r\nr\r\n"
        return answers.get(command[1]) if command[0] == "FCALL" else None


@contextmanager
def nodes(count: int) -> Iterator[list[Node]]:
    """So many nodes; the first has all slots."""
    made = [Node() for _ in range(count)]
    for node in made:
        node.slots = [(0, 16383, made[0].port)]
    try:
        yield made
    finally:
        for node in made:
            node.stop()


def free_port() -> int:
    """A port at which nobody is."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
