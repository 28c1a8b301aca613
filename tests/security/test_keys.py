"""Names that people choose cannot lead to somebody else's keys in Redis."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gateway.mailbox import keys
from gateway.xmpp.jid import JID, JIDError

TRICKY = (
    "a",
    "a:b",
    ":",
    "acct",
    "acct:a",
    "{b00}",
    "}",
    "a}:acct:b",
    "a b",
    "*",
    "[a]",
    "a*",
    "\u00fc",
    "pub",
    "pubi:a",
)

OF_ACCOUNTS = ("account", "disabled", "resources", "offline", "registrations", "blocked", "roster", "private", "vcard",
               "nodes", "node_subscribers", "node_affiliations", "archive", "commands", "invites")  # fmt: skip


def users() -> list[str]:
    """Bare JIDs that are addresses."""
    found = []
    for local, domain in itertools.product(TRICKY, ("localhost", "a.example", "xn--a")):
        try:
            found.append(str(JID.parse(f"{local}@{domain}").bare))
        except JIDError:
            continue
    return sorted(set(found))


def test_no_two_accounts_and_no_two_kinds_of_a_thing_share_a_key() -> None:
    made = [keys.key(keys.prefix(user), name, user) for user in users() for name in OF_ACCOUNTS]

    assert 15 < len(users())
    assert len(made) == len(set(made))


def test_no_node_of_one_account_is_a_node_of_another() -> None:
    nodes = (*TRICKY, *users())
    made = [
        keys.key(keys.prefix(user), name, user, node)
        for user in users() for node in nodes for name in ("node_items", "node_order")
    ]  # fmt: skip

    assert len(made) == len({*made, *[keys.key(keys.prefix(user), "nodes", user) for user in users()]}) - len(users())


@given(st.text(max_size=30))
def test_a_key_stays_in_its_bucket_whatever_the_name_is(name: str) -> None:
    """Redis Cluster takes what stands in the first braces for the slot: a name must not move there."""
    key = keys.key(keys.prefix(name), "account", name)

    assert keys.bucket_prefix(keys.bucket_of(name)) == key[: key.index("}") + 2]
    assert key.index("{") < key.index("}") < len(keys.ROOT) + 5
