"""Two people who chat, whatever happens around them."""

import gevent

from tests.support.pieces import Pieces

PAUSE_S = 0.02


class Bystanders:
    """Romeo writes to Juliet all the time."""

    def __init__(self, house: Pieces) -> None:
        self._to = house.account()
        self._romeo = house.client(house.account(), resource="romeo").login(max_s=300)
        self._juliet = house.client(self._to, resource="juliet", tls="direct").login(max_s=300)
        self._sent: list[str] = []
        self._goes_on = True
        self._writer = gevent.spawn(self._write)

    def _write(self) -> None:
        while self._goes_on:
            body = f"message {len(self._sent)}"
            self._sent.append(body)
            self._romeo.send_message(self._to.jid, body)
            gevent.sleep(PAUSE_S)

    def exchange(self, count: int = 10, timeout_s: float = 15.0) -> None:
        """Returns when so many more messages went through from now on. Raises ServerSilent."""
        self._juliet.wait_messages(len(self._sent) + count, timeout_s)

    def finish(self) -> None:
        """Stops, and checks that every message came once and in order, over the same two links."""
        self._goes_on = False
        self._writer.get(timeout=30)
        self._romeo.wait_accepted(30)
        self._juliet.wait_messages(len(self._sent), 30)

        assert self._sent == [message.body for message in self._juliet.messages]
        assert not self._romeo.ended.is_set()
        assert not self._juliet.ended.is_set()

    def close(self) -> None:
        self._romeo.close()
        self._juliet.close()
