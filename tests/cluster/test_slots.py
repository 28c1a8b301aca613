"""Which slot a command belongs to."""

import pytest

from gateway.mailbox import keys
from gateway.mailbox.cluster.slots import key_of, slot_of
from gateway.mailbox.dial import Part


@pytest.mark.parametrize(
    ("slot", "key"),
    [
        (12739, "123456789"),  # the example of the specification, 0x31C3
        (slot_of("user1000"), "{user1000}.following"),
        (slot_of("{}"), b"{}"),
        (slot_of("bar"), "foo{bar}{zap}"),
        (slot_of("{bar"), "foo{{bar}}zap"),
        (slot_of("foo{}{bar}"), "foo{}{bar}"),
    ],
)
def test_a_key_is_in_the_slot_that_the_specification_says(slot: int, key: Part) -> None:
    assert slot == slot_of(key)


def test_every_bucket_has_a_slot_of_its_own_and_its_keys_are_in_it() -> None:
    prefixes = [keys.bucket_prefix(bucket) for bucket in range(keys.BUCKETS)]

    assert keys.BUCKETS == len({slot_of(prefix) for prefix in prefixes})
    assert [slot_of(prefix) for prefix in prefixes] == [
        slot_of(keys.key(at, "account", "a{b}@localhost")) for at in prefixes
    ]


@pytest.mark.parametrize(
    ("key", "command"),
    [
        ("k", ("GET", "k")),
        ("k", ("FCALL", "f", 1, "k", "x")),
        (None, ("FCALL", "f", 0)),
        ("k", ("EVAL", "return 1", "1", "k")),
        ("k", ("XREADGROUP", "GROUP", "g", "me", "COUNT", 1, "STREAMS", "k", ">")),
        ("k", ("XGROUP", "CREATE", "k", "g", "0")),
        ("channel", ("SPUBLISH", "channel", b"text")),
        (None, ("TIME",)),
    ],
)
def test_a_commands_key_is_where_it_stands_in_that_command(key: str | None, command: tuple[Part, ...]) -> None:
    assert key == key_of(command)
