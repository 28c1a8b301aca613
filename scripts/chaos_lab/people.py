"""Accounts, their devices, and what they say to each other."""

from __future__ import annotations

import random
import time
from dataclasses import replace

import gevent
from gevent.pool import Pool

from gateway.demo.stream import Address, Unexpected
from gateway.xmpp import ns
from scripts.chaos_lab import history as told
from scripts.chaos_lab.cluster import APPS, DOMAIN, PASSWORD
from scripts.chaos_lab.device import LOST, Device, Speaker
from scripts.chaos_lab.habits import SHARES, Life
from scripts.chaos_lab.history import History

FRIENDS = 5
"""so many others each account writes to"""

PROXIED = 0.5
"""so many of the devices connect through the bad network"""

BURST = 0.15
"""how often several messages are sent at once"""

HURRY = 1.5
"""so many times as fast as was planned they talk at most, to make up for delays"""

LOGINS_AT_ONCE = 20
TEXTS = ("short", "a line of usual length, as people write them", "x" * 600)


class People:
    """Everybody. What they are and do follows from the seed."""

    def __init__(self, accounts: int, messages: int, seconds: float, rng: random.Random, history: History) -> None:
        self.lives: list[Life] = []
        self.sent = 0
        self._accounts = accounts
        self._messages = messages
        self._seconds = seconds
        self._rng = rng
        self._history = history
        self._tokens: dict[str, Life] = {}
        self._began = 0.0
        self._friends = {
            account: [
                other for other in rng.sample(range(1, accounts + 1), min(FRIENDS + 1, accounts)) if other != account
            ]
            for account in range(1, accounts + 1)
        }
        self._full: dict[int, list[Device]] = {}

    def make(self, direct: Address, proxied: Address) -> None:
        """Their devices: one to three each."""
        for account in range(1, self._accounts + 1):
            for place in range(self._rng.choice((1, 1, 2, 2, 3))):
                self._make_device(account, place, direct, proxied)

    def _make_device(self, account: int, place: int, direct: Address, proxied: Address) -> None:
        rng, number = self._rng, len(self.lives) + 1
        habit = rng.choices(list(SHARES), list(SHARES.values()))[0]
        # a sleeper's link ends when it says so: what a bad network does to it would excuse any push
        address = proxied if rng.random() < PROXIED and habit != "sleeper" else direct
        client = Speaker(f"user{account}", PASSWORD, address, resource=f"d{place}")
        device = Device(number, account, client, self._history, carbons=rng.random() < 0.5)
        token = rng.randbytes(32).hex() if habit == "sleeper" else ""
        life = Life(device, habit, random.Random(rng.random()), self._speak)
        self.lives.append(life)
        jid = f"user{account}@{DOMAIN}/d{place}"
        self._history.note(told.Device(number, account, jid, habit, device.carbons, token))
        if token:
            self._tokens[token] = life
        if habit in ("steady", "dropper", "sleeper"):
            self._full.setdefault(account, []).append(device)

    @property
    def tokens(self) -> dict[str, Life]:
        """Who is to be woken by a push for a token."""
        return self._tokens

    def arrive(self) -> None:
        """All log in, and those with push register for it. Raises one of LOST."""
        Pool(LOGINS_AT_ONCE).map(lambda life: life.begin(), self.lives)
        for token, life in self._tokens.items():
            _register(life.device, token)

    def live(self) -> None:
        """They begin to talk."""
        self._began = time.monotonic()
        for life in self.lives:
            life.live()

    def finish(self) -> None:
        """They say nothing more, and see to it that all is done."""
        for life in self.lives:
            life.finish()

    def unsettled(self) -> list[Life]:
        """Who is not done."""
        return [life for life in self.lives if not life.is_settled]

    def read_archives(self) -> None:
        """Of each account, by one of its devices."""
        readers = {life.device.account: life.device for life in self.lives if life.is_settled}
        Pool(10).map(self._read_archive, readers.values())

    def stop(self) -> None:
        """All links end."""
        for life in self.lives:
            life.stop()

    def _read_archive(self, device: Device) -> None:
        after, failures, is_complete = "", 0, False
        while not is_complete:
            try:
                after, is_complete = _page(device, after)
            except LOST:
                failures += 1
                if failures > 10:
                    device.note(told.Unsettled(device.now, device.number, "cannot read its archive"))
                    return
                gevent.sleep(0.5)
        for shown in device.archive:
            device.note(shown)

    def _speak(self, device: Device) -> float:
        """Send something, if there is something left to be sent; seconds until the next time."""
        rng = self._rng
        left = self._messages - self.sent
        if left <= 0:
            return 5.0
        count = rng.randint(3, 8) if rng.random() < BURST else 1
        account = rng.choice(self._friends[device.account])
        reachable = self._full.get(account, [])
        target = rng.choice(reachable) if reachable and rng.random() < 0.2 else None
        to = f"user{account}@{DOMAIN}" + (f"/{target.client.resource}" if target is not None else "")
        for _ in range(min(count, left)):
            self.sent += 1
            number = target.number if target is not None else 0
            device.say(self.sent, account, to, to_device=number, kept=rng.random() < 0.9, text=rng.choice(TEXTS))
        if rng.random() < 0.5:
            device.ask()
        return self._pause(left)

    def _pause(self, left: int) -> float:
        """So that what is left is sent in the time that is left, or in half as much again if that was too short."""
        left_s = self._began + self._seconds - time.monotonic()
        left_s = max(left_s, left * self._seconds / (HURRY * self._messages))
        each = 1 + 4.5 * BURST
        return each * 0.8 * left_s * len(self.lives) / left * self._rng.uniform(0.3, 1.7)


def _register(device: Device, token: str) -> None:
    """XEP-0357, as gateway.demo.requests does it."""
    app = APPS[device.number % 2]
    fields = {"FORM_TYPE": ns.PUBSUB_PUBLISH_OPTIONS, "app": app, "token": token}
    form = "".join(f"<field var='{var}'><value>{value}</value></field>" for var, value in fields.items())
    x = f"<x xmlns='{ns.DATA_FORMS}' type='submit'>{form}</x>"
    answer = device.request(
        "set", f"<enable xmlns='{ns.PUSH}' jid='push.{DOMAIN}' node='n{device.number}'>{x}</enable>"
    )
    if answer.get("type") != "result":
        raise RuntimeError(f"device {device.number} cannot register for pushes")


def _page(device: Device, after: str) -> tuple[str, bool]:
    """The next page of its archive, kept in `device.archive`: the id of its last entry, and whether it was the last
    page. Raises one of LOST.
    """
    known = len(device.archive)
    device.query = f"q{known}-{after}"
    at = f"<after>{after}</after>" if after else ""
    rsm = f"<set xmlns='{ns.RSM}'><max>250</max>{at}</set>"
    try:
        answer = device.request("set", f"<query xmlns='{ns.MAM}' queryid='{device.query}'>{rsm}</query>", 30.0)
        fin = answer.find(f"{{{ns.MAM}}}fin")
        if fin is None:
            raise Unexpected("the archive was not shown")
    except LOST:
        del device.archive[known:]
        raise
    last = fin.findtext(f"{{{ns.RSM}}}set/{{{ns.RSM}}}last") or after
    return last, fin.get("complete") == "true"


def through(address: Address, port: int) -> Address:
    """The same server by another port."""
    return replace(address, port=port)
