"""Every key of Wakegate in Redis: the one place that spells them.

A mailbox's keys share the hash tag of its bucket (`wg:{b07}:…`), so that one operation touches one slot of a Redis
Cluster. The Lua library gets its key functions from the same table (`lua_source`), so that Python and Lua cannot
disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

ROOT = "wg:"

BUCKETS = 64
"""Number of buckets. It is part of the data: changing it needs a migration, so it is no setting."""

NODES = ROOT + "nodes"
"""hash: node -> number of heartbeats. A node whose number stands still is dead."""

DATA_VERSION = ROOT + "version"
"""string: `library.VERSION` of the newest build that has written here; an older one must not."""

NODE_MEMBERS = ROOT + "nodes:about"
"""hash: node -> what it says of itself (JSON): which process it is, its Lua library, whether it is about to leave."""

DEAD_NODES = ROOT + "dead"
"""set: nodes whose supervisor saw them die; reaped at once instead of after their lease."""

ARCHIVER = ROOT + "moves"
"""hash: moved (entries that archivers have moved to SQL, ever), round_ms (when the last whole round ended)"""

DEAD_LETTERS = ROOT + "push:dead"
"""stream: push jobs that were given up, with the reason; trimmed by age."""

PUSH_WORKERS = ROOT + "push:workers"
"""hash: push worker -> when it said so (ms), and what it said of itself (JSON)"""

REPORTS = ROOT + "reports"
"""stream: who told the operator of whom (XEP-0377), the newest; gone with either account."""

PROVIDER_TOKENS = ROOT + "push:tokens:"
"""prefix of strings: provider tokens shared by all push workers, by credential; expire by themselves."""

LIMITS = ROOT + "limits:"
"""prefix of strings, by gateway node: what it says of its limits (JSON); expire by themselves."""

CAPS = ROOT + "caps"
"""hash: hash function, # and verification string (XEP-0115) -> nodes that such clients want to be told of."""

DECOY_SECRET = ROOT + "decoy"
"""string: random, the same for all nodes; keeps SASL from telling which accounts there are"""

PUSH_ANSWERS = ROOT + "push:answers:"
"""prefix of lists, by push worker: what foreign app servers answered it (XEP-0357); expire by themselves."""


@dataclass(frozen=True, slots=True)
class Key:
    """One kind of key: how it is spelt behind the bucket's prefix, and what it holds."""

    template: str
    kind: str
    meaning: str
    lifetime: str


KEYS: dict[str, Key] = {
    # per account
    "account": Key(
        "acct:{}", "hash", "credentials, counters of the offline store, its push generation", "the account's"
    ),
    "accounts": Key("accts", "set", "bare JIDs of this bucket's accounts", "for ever"),
    "disabled": Key("dis:{}", "hash", "what acct holds, while the account is disabled", "until it is enabled again"),
    "disabled_accounts": Key("disd", "set", "bare JIDs of this bucket's disabled accounts", "for ever"),
    "resources": Key("res:{}", "hash", "resourcepart -> session id", "the account's"),
    "offline": Key("off:{}", "list", "entries that wait for an available resource, oldest first", "until drained"),
    "registrations": Key("push:{}", "hash", "service JID and node -> registration (JSON)", "the account's"),
    "read": Key("read:{}", "hash", "conversation -> ms of the newest time that something of it was read", "a day"),
    "unread": Key("unread:{}", "zset", "conversation and time of each message nobody has looked at", "30 days"),
    "calls": Key("calls:{}", "hash", "call's id -> who called, is it over, which devices rang (JSON)", "two minutes"),
    "blocked": Key("block:{}", "set", "JIDs this account blocks (XEP-0191)", "the account's"),
    "roster": Key("roster:{}", "hash", "contact's bare JID -> roster item (JSON)", "the account's"),
    "requests": Key("reqs:{}", "hash", "contact -> its subscription request that waits for an answer", "the account's"),
    "removed": Key("rgone:{}", "zset", "removed contact -> roster version of its removal", "the account's, the newest"),
    "subscription": Key(
        "sub:{}", "hash", "digest of user and contact: direction -> newest stanza (outbox entry)", "a day"
    ),
    "archive": Key("arch:{}", "stream", "the archive's recent part: w the other party, s the stanza", "until moved"),
    "archives": Key("archs", "set", "accounts that have an archive", "the account's"),
    "archive_prefs": Key("mamp:{}", "hash", "JID -> always or never (XEP-0441)", "the account's"),
    "archive_default": Key("archdef", "string", "what is archived for who said nothing (XEP-0441)", "for ever"),
    "archive_moving": Key("archmv", "hash", "account -> worker that moves from its archive now, until when", "seconds"),
    "archive_removed": Key("archrm", "hash", "removed account -> archive id up to which SQL erases", "until erased"),
    "private": Key("priv:{}", "hash", "{namespace}name -> element (XEP-0049)", "the account's"),
    "vcard": Key("vcard:{}", "hash", "card: the element (XEP-0054); photo: its hash", "the account's"),
    "old": Key(
        "old:{}",
        "hash",
        "session id of an ended session -> its last inbound count; the same with ` reach` -> epoch, last position",
        "days, the newest few",
    ),
    "oldest": Key("olds:{}", "zset", "the same session ids by time of their end (ms)", "days, the newest few"),
    "fan_ids": Key("fan", "string", "number of names given to messages with several copies", "for ever"),
    "fanout": Key(
        "fan:{}",
        "hash",
        "message id -> copies left; negative once one copy was acknowledged",
        "until the last copy ends",
    ),
    "nodes": Key("pub:{}", "hash", "pubsub node -> its configuration (JSON)", "the account's"),
    "node_items": Key("pubi:{}:{}", "hash", "item id -> ms, XML; the empty id -> bytes of all", "the node's"),
    "node_order": Key("pubo:{}:{}", "zset", "item id -> its turn, the newest last", "the node's"),
    "node_subscribers": Key("pubs:{}", "hash", "node and JID of explicit subscriptions", "the account's"),
    "node_affiliations": Key("puba:{}", "hash", "node and bare JID -> member or outcast", "the account's"),
    "commands": Key("cmd:{}", "hash", "ad-hoc session id -> deadline, who runs it, its state (JSON)", "minutes"),
    "invite": Key(
        "inv:{}", "hash", "inviter, account, expiry and claim of an invitation, by its token's digest", "its"
    ),
    "invites": Key("invs:{}", "zset", "digest of an invitation this account made -> its expiry (ms)", "the longest's"),
    "reserved": Key("resv:{}", "string", "digest of the invitation that has this account's name", "the invitation's"),
    "tries": Key("tries:{}", "string", "number of registrations tried, by address and of all", "an hour"),
    # per device of another server's user, whose mailbox is its node's: acct, push and off as above
    "devices": Key("dev:{}", "hash", "which device -> its node JID, by who registered them", "a year without news"),
    "device_tries": Key("devt:{}", "string", "number of tokens somebody registered", "an hour"),
    # per session
    "session": Key("s:{}", "hash", "owner, epoch, marks of the cursor, presence, push marks", "the session's"),
    "queue": Key("q:{}", "list", "entries from acked+1 to tail, oldest first", "the session's"),
    "backlog": Key("back:{}", "list", "entries that wait for room in the queue, oldest first", "the session's"),
    "presence": Key(
        "pres:{}", "hash", "full JID -> newest presence, while the session does not consume", "the session's"
    ),
    "origin": Key(
        "o:{}:{}",
        "string",
        "highest inbound count of that session this mailbox took; outlives the account, so it names a digest of it",
        "the sender's session may resume",
    ),
    "transfers": Key(
        "tr:{}", "hash", "origin and count -> delivery to another slot that is under way (msgpack)", "until confirmed"
    ),
    "taken": Key("j:{}", "string", "highest serial this bucket took of that process's own deliveries", "an hour"),
    "directed": Key("dir:{}", "set", "JIDs that got directed presence (RFC 6121 section 4.6)", "until unavailable"),
    # per bucket
    "fading": Key("fade", "zset", "sleeping session's id -> time (ms) at which it is seen as away", "until then"),
    "due": Key("due", "zset", "sleeping session's id -> time (ms) of its expiry", "until resumed or expired"),
    "lastcalls": Key("calls", "zset", "sleeping session's id -> time (ms) of its last call", "until resumed or called"),
    "endings": Key("ends", "set", "ids of ended sessions whose remainder has not got its fate yet", "until done"),
    "events": Key("ev", "stream", "push events for the workers", "until a worker is done with it"),
    "retries": Key("retry", "zset", "push events (JSON) -> time (ms) at which they are due again", "until due"),
    "job": Key(
        "job:{}",
        "hash",
        "of a push event in work: device's digest -> outcome, with ~ its tries, > it waits for a retry, @ who began it",
        "its",
    ),
    "push_counts": Key("pushstat", "hash", "state of a push's life -> how many reached it", "for ever"),
    "trace": Key("trace:{}", "stream", "newest decisions about the pushes of an account, by its digest", "days"),
    "push_owner": Key("pushid:{}", "string", "push id -> digest of the account", "days"),
    "background": Key("bg:{}", "string", "a push that showed nothing went to this device, by its digest", "minutes"),
    "again": Key(
        "again:{}", "string", "the message push of this device, by its digest, that waits for a retry", "until then"
    ),
    "wake_slot": Key("wakeslot", "string", "when (ms) the next device of a dead gateway is woken", "seconds"),
    "transferring": Key(
        "trs", "zset", "account that has transfers -> ms when the first was written", "until confirmed"
    ),
    "outbox": Key("out", "stream", "stanzas to bounce or to hand to another mailbox", "until delivered"),
    "timeline": Key("line", "string", "run id of the Redis on which this bucket was surveyed last", "for ever"),
    "losses": Key("losses", "hash", "what Redis has lost of what clients were told -> how many, ever", "for ever"),
    "fence": Key("fence", "string", "nothing: it is written, so that WAIT covers all before it", "for ever"),
    "fates": Key("fates", "hash", "fate -> number of messages", "for ever"),
    "owned": Key("node:{}", "set", "session ids owned by that node", "the node's"),
}

NOTICES = ROOT + "n:"
"""prefix of pub/sub channels: notices to the node that owns a session."""

CONSUMER_GROUP = "push"
"""name of the consumer group on every bucket's event stream."""


def _crc16_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = ((crc << 1) ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
        table.append(crc)
    return tuple(table)


_CRC16 = _crc16_table()


@lru_cache(maxsize=65536)
def prefix(user: str) -> str:
    """The prefix of a mailbox's keys, e.g. `wg:{b07}:`; `user` is the bare JID."""
    return bucket_prefix(bucket_of(user))


def bucket_of(user: str) -> int:
    """The number of a mailbox's bucket: crc16 (XMODEM, the one Redis Cluster uses) of the bare JID's bytes."""
    crc = 0
    for byte in user.encode():
        crc = ((crc << 8) & 0xFFFF) ^ _CRC16[(crc >> 8) ^ byte]
    return crc % BUCKETS


def bucket_prefix(bucket: int) -> str:
    """The prefix of bucket number `bucket` (0 to BUCKETS - 1)."""
    return f"{ROOT}{{b{bucket:02d}}}:"


PREFIXES: Final = tuple(map(bucket_prefix, range(BUCKETS)))
"""The prefixes of all buckets, in order."""


def key(at: str, name: str, *parts: str) -> str:
    """The key `name` (one of KEYS) behind the prefix `at`."""
    return at + KEYS[name].template.format(*parts)


def lua_source() -> str:
    """Lua functions `K.<name>(prefix, …)` for every key of the table."""
    lines = ["local K = {}"]
    for name, spec in KEYS.items():
        pieces = spec.template.split("{}")
        arguments = [f"a{i}" for i in range(len(pieces) - 1)]
        expression = f"p .. '{pieces[0]}'"
        for argument, piece in zip(arguments, pieces[1:], strict=True):
            expression += f" .. {argument}" + (f" .. '{piece}'" if piece else "")
        lines.append(f"function K.{name}({', '.join(['p', *arguments])}) return {expression} end")
    return "\n".join(lines) + "\n"
