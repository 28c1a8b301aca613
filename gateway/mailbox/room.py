"""What is done for a Redis that has no room left: which operations it takes although it has reached its `maxmemory`."""

from __future__ import annotations

from typing import Final

EVEN_WHEN_FULL: Final = frozenset(
    """
    append read handled ack overdue rest carbons enable hibernate peek resume close expire finish chores last_call
    farewells audience shown fade faded component confirm transfers
    archive_page archive_find archive_ends archive_prefs archive_due archive_take archive_moved archive_prune
    archive_nth archive_removed archive_erased offline_list offline_find offline_remove offline_purge displayed unread
    seen avatar_told vcard_shown roster roster_remove does_block blocklist unblock visibility last_activity
    pubsub_standing pubsub_audience pubsub_node pubsub_nodes pubsub_items pubsub_subscriptions pubsub_affiliations
    pubsub_sources pubsub_last pubsub_take pubsub_eager pubsub_retract pubsub_empty pubsub_unsubscribe pubsub_gone
    unregister claim pushed retry done background trace push_state device_remove
    remove sessions census evict disable reenable credentials logged_in standing attendance
    invite_look invite_release command_take command_end tails reap outbox posted beat introduce
    mark_dead fence verify run_id survey memory
    fence run_id survey verify
    """.split()  # noqa: SIM905 - ninety names, which nobody wants to see in quotes
)
"""Operations with the flag `allow-oom`: they read, or make room sooner or later, or tell somebody that there is none.

What each of them can add is bounded: an entry of a queue that is bounded itself, a field. All others Redis refuses
before anything of them ran, and whoever sent the message, or asked, is told so (RFC 6120 section 8.3.3.18).
"""
