"""XEP-0191: Blocking Command, version 1.3. List, block, unblock, and pushes to the devices that asked for the list. The
mailbox itself asks the list wherever it takes a stanza. Reports inside of it (XEP-0377) go to the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from gateway.hooks import Feature, On, Phase, Query, Services, StanzaReceived, Xep
from gateway.mailbox.blocklists import Blocklists, Change
from gateway.mailbox.reports import Reports
from gateway.mailbox.visibility import Visibility
from gateway.settings import setting
from gateway.telemetry import get_logger, redact
from gateway.xmpp import ns
from gateway.xmpp.errors import ErrorType, StanzaCondition, StanzaError, blocked_by_you
from gateway.xmpp.escape import escape
from gateway.xmpp.jid import JID, JIDError
from gateway.xmpp.payload import several

log = get_logger(__name__)

MOST, LONGEST_PUSH = 1000, 131072
"""addresses that one request may change, and their bytes: every device gets a copy of them"""

TOLD_AT_ONCE = 100
"""contacts that hear of a change before its result is there; what is left in the outbox the sweeper tells"""

MOST_REPORTS = 20
"""of one request that go to the log, so that nobody floods it"""

REASONS = frozenset({f"{ns.REPORTING_REASONS}:spam", f"{ns.REPORTING_REASONS}:abuse"})
"""XEP-0377 section 4"""


@dataclass(frozen=True)
class BlockingSettings:
    """[blocking] XEP-0191."""

    max_blocked_jids: int = setting(
        1000, unit="addresses", least=1, most=1000, help="Entries of one account's block list."
    )


def _content(query: Query, name: str) -> Any:
    """The payload as a dictionary. Only one's own list can be asked for, and no server's."""
    if not query.is_own:
        raise StanzaError(StanzaCondition.SERVICE_UNAVAILABLE)
    return next(iter(query.iq.payload().values()))[f"{ns.BLOCKING}|{name}"]


def _items(content: Any) -> list[tuple[JID, Any]]:
    """The addresses of a request with what stands inside their items, in order and once each."""
    found: dict[JID, Any] = {}
    for item in several(content, f"{ns.BLOCKING}|item"):
        text = item.get("@jid") if isinstance(item, dict) else None
        if not text:
            raise StanzaError(StanzaCondition.BAD_REQUEST, "every item has the attribute jid")
        try:
            found.setdefault(JID.parse(text), item)
        except JIDError as error:
            raise StanzaError(StanzaCondition.JID_MALFORMED, str(error)) from error
    return list(found.items())


def _payload(name: str, jids: list[JID]) -> bytes:
    items = "".join(f"<item jid='{escape(str(jid))}'/>" for jid in jids)
    payload = f"<{name} xmlns='{ns.BLOCKING}'>{items}</{name}>".encode()
    if len(jids) > MOST or len(payload) > LONGEST_PUSH:
        raise StanzaError(
            StanzaCondition.POLICY_VIOLATION, "too many addresses at once; send several requests", type=ErrorType.MODIFY
        )
    return payload


def _settle(query: Query, answer: Change | str) -> None:
    if answer == "full":
        raise StanzaError(StanzaCondition.RESOURCE_CONSTRAINT, "the block list is full")
    if not isinstance(answer, str):
        query.services.announce(answer.placed)
        visibility = Visibility(query.services.mailbox, query.services.announce)
        for entry, fields in answer.told[:TOLD_AT_ONCE]:
            visibility.carry(query.session.grip.at, entry, fields)
    query.reply(b"")  # of a session that is another connection's by now, the mailbox takes no answer


def fetch(query: Query) -> None:
    """XEP-0191 section 3.2."""
    _content(query, "blocklist")
    session = query.session
    listed = Blocklists(query.services.mailbox).fetch(session.grip, str(session.jid.bare))
    query.reply(_listing(listed if isinstance(listed, list) else []))


def _listing(jids: list[str]) -> bytes:
    items = "".join(f"<item jid='{escape(jid)}'/>" for jid in jids)
    return f"<blocklist xmlns='{ns.BLOCKING}'>{items}</blocklist>".encode()


def block(query: Query) -> None:
    """XEP-0191 section 3.3: all of the items or, with an error, none."""
    items = _items(_content(query, "block"))
    if not items:
        raise StanzaError(StanzaCondition.BAD_REQUEST, "at least one item says whom to block")
    session, jids = query.session, [jid for jid, _ in items]
    user = session.jid.bare
    if any(jid.bare == user for jid in jids):
        raise StanzaError(StanzaCondition.NOT_ALLOWED, "an account cannot block itself")
    push = _payload("block", jids)
    answer = Blocklists(query.services.mailbox).block(
        session.grip, str(user), map(str, jids), push=push,
        most=query.services.settings.of(BlockingSettings).max_blocked_jids,
    )  # fmt: skip
    if not isinstance(answer, str):
        _keep_reports(user, items, query.services)
    _settle(query, answer)


def unblock(query: Query) -> None:
    """XEP-0191 sections 3.4 and 3.5: with nothing in it, everybody. Who wrote items that are none meant somebody."""
    content = _content(query, "unblock")
    jids = [jid for jid, _ in _items(content)]
    if not jids and not _is_empty(content):
        raise StanzaError(
            StanzaCondition.BAD_REQUEST, "items say whom to unblock, or nothing at all that it is everybody"
        )
    session = query.session
    answer = Blocklists(query.services.mailbox).unblock(
        session.grip, str(session.jid.bare), map(str, jids), push=_payload("unblock", jids)
    )
    _settle(query, answer)


def _is_empty(content: Any) -> bool:
    """Nothing is in it but attributes."""
    return content is None or (isinstance(content, dict) and all(name.startswith("@") for name in content))


def guard(event: StanzaReceived) -> None:
    """Section 3.3: nobody asks or probes whom he himself blocks. Who is blocked by the other side gets the answers of
    an account that does not exist, which differ with what is asked, so whoever answers for the account looks: a
    refusal of its own would tell that somebody is there, and blocks.
    """
    to, element = event.to, event.element
    type_ = element.attrs.get("type")
    is_probe = element.name == "presence" and type_ == "probe"
    if not is_probe and not (element.name == "iq" and type_ in ("get", "set")):
        return
    if to is None or not to.local or (to.resource and not is_probe) or to.bare == event.session.jid.bare:
        return
    if Blocklists(event.services.mailbox).has(to, of=event.session.jid):
        raise blocked_by_you()


def _keep_reports(reporter: JID, items: list[tuple[JID, Any]], services: Services) -> None:
    """XEP-0377: for the operators, who see who told of whom and not what was written. One that says no known reason is
    none.
    """
    found = ((jid, report) for jid, item in items for report in several(item, f"{ns.REPORTING}|report")[:1])
    reports = Reports(services.mailbox.journal)
    for reported, report in islice(found, MOST_REPORTS):
        reason = report.get("@reason") if isinstance(report, dict) else None
        if reason in REASONS:
            stanzas = len(several(report, f"{ns.STANZA_ID}|stanza-id"))
            reports.add(by=str(reporter), about=str(reported), reason=reason, stanzas=stanzas)
            log.warning("abuse_reported", by=redact(str(reporter)), about=redact(str(reported)), reason=reason)


FEATURE = Feature(
    name="blocking",
    xep=Xep(191, "1.3"),
    disco=(ns.BLOCKING, ns.REPORTING),
    account_disco=(ns.BLOCKING,),
    iq_get={(ns.BLOCKING, "blocklist"): fetch},
    hooks=(On(StanzaReceived, guard, Phase.GUARD, frozenset()),),
    iq_set={(ns.BLOCKING, "block"): block, (ns.BLOCKING, "unblock"): unblock},
)
