"""Whatever happens to a device, each accepted push has one fate, and the stores stay within their bounds."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.sandbox.apns.storage import ApnsStorage
from workers.sandbox.clock import Clock
from workers.sandbox.deliveries import Deliveries, Push
from workers.sandbox.devices import Devices
from workers.sandbox.fcm.storage import COLLAPSE_KEYS, PENDING, FcmStorage

TOKEN = "device"
ENDS = {"delivered", "replaced", "expired", "dropped", "deleted"}

Step = tuple[str, object, object, object]

pushes = st.tuples(
    st.just("push"), st.sampled_from(["", "a", "b", "c", "d", "e"]), st.booleans(), st.sampled_from([0, 9])
)
changes = st.tuples(
    st.just("change"),
    st.sampled_from(["online", "offline", "doze", "wake", "maintenance", "advance"]),
    st.none(),
    st.none(),
)
crowds = st.tuples(st.just("crowd"), st.integers(90, 110), st.none(), st.none())
histories = st.lists(st.one_of(pushes, pushes, changes, crowds), max_size=40)


class World:
    """One device with both stores' ways to act on it."""

    def __init__(self, *, is_apns: bool) -> None:
        self.clock = Clock()
        self.devices = Devices(self.clock)
        self.deliveries = Deliveries(self.clock)
        self.is_apns = is_apns
        store = ApnsStorage if is_apns else FcmStorage
        self.store: ApnsStorage | FcmStorage = store(self.clock, self.devices, self.deliveries)
        self.count = 0
        self.devices.register(TOKEN)

    def push(self, slot: str, is_urgent: bool, ttl_s: float) -> None:
        self.count += 1
        push = Push(
            provider="apns" if self.is_apns else "fcm",
            token=TOKEN,
            push=self.count,
            push_id=str(self.count),
            slot=slot,
            collapse_id=slot,
            is_urgent=is_urgent,
            expires_at=self.clock.now() + ttl_s,
            payload={},
        )
        self.store.accept(push)

    def change(self, what: str) -> None:
        match what:
            case "advance":
                self.clock.advance(5)
            case "maintenance":
                if isinstance(self.store, FcmStorage):
                    self.store.maintain()
            case "online" | "offline":
                self.devices.reach(TOKEN, is_online=what == "online")
                self.store.flush(TOKEN)
            case _:
                self.devices.reach(TOKEN, is_dozing=what == "doze")
                self.store.flush(TOKEN)

    def check(self) -> None:
        lines = self.deliveries.since(0)
        # What tells an app of deleted messages is no push of anybody's.
        ends = Counter(line.push for line in lines if line.event in ENDS and "data" not in line.payload)
        waiting = [push.push for push in self.store.waiting(TOKEN)]
        assert set(range(1, self.count + 1)) == set(ends) | set(waiting)
        assert not set(ends) & set(waiting)
        assert {1} >= set(ends.values())
        if self.is_apns:
            assert len(waiting) == len({push.slot for push in self.store.waiting(TOKEN)})
        else:
            assert len([push for push in self.store.waiting(TOKEN) if push.slot]) <= COLLAPSE_KEYS
            assert len([push for push in self.store.waiting(TOKEN) if not push.slot]) <= PENDING


@settings(max_examples=60, deadline=None)
@given(st.booleans(), histories)
def test_each_accepted_push_is_waiting_or_has_ended_once(
    is_apns: bool, history: list[tuple[str, object, object, object]]
) -> None:
    world = World(is_apns=is_apns)
    for kind, first, second, third in history:
        if kind == "push":
            world.push(str(first), bool(second), float(str(third)))
        elif kind == "crowd":
            for _ in range(int(str(first))):
                world.push("" if not is_apns else "app", False, 9)
        else:
            world.change(str(first))
        world.check()
