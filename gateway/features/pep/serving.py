"""From an iq to the handler of the one action that stands in its <pubsub/> (XEP-0060), and back with its error."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gateway.features.pep.errors import as_stanza_error
from gateway.features.pep.reading import read_request
from gateway.hooks import Query
from gateway.mailbox.pubsub_model import PubsubRefusal
from gateway.mailbox.pubsubs import Pubsubs
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.tree import Tree

Action = Callable[[Query, Tree, Tree], bytes]
"""(request, <pubsub/>, the action's element) -> the result's payload"""


def pubsubs(query: Query) -> Pubsubs:
    """The operations of the mailbox."""
    return Pubsubs.of(query.services)


def own_only(query: Query) -> None:
    """The owner alone may go on (XEP-0163 section 3.2). Raises PubsubRefusal."""
    if not query.is_own:
        raise pubsubs(query).standing(str(query.to), str(query.asker))


def serve(query: Query, actions: Mapping[str, Action], companions: frozenset[tuple[str, str]]) -> None:
    """Run the action of a request, which holds one, and besides it only `companions`."""
    try:
        query.reply(_run(query, actions, companions))
    except PubsubRefusal as refusal:
        raise as_stanza_error(refusal) from refusal


def _run(query: Query, actions: Mapping[str, Action], companions: frozenset[tuple[str, str]]) -> bytes:
    if not query.to.local:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    pubsub = read_request(query)
    found = [child for child in pubsub.children if child.ns == pubsub.ns and child.name in actions]
    others = [child for child in pubsub.children if child not in found]
    if len(found) != 1 or any((child.ns, child.name) not in companions for child in others):
        if not query.is_own:
            raise pubsubs(query).standing(str(query.to), str(query.asker))
        if not found and len(others) == 1:
            raise StanzaError(StanzaCondition.FEATURE_NOT_IMPLEMENTED, f"no {others[0].name} here")
        raise StanzaError(StanzaCondition.BAD_REQUEST, "a request has one action")
    return actions[found[0].name](query, pubsub, found[0])
