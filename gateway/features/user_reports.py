"""XEP-0133 sections 4.9, 4.10 and 4.13 to 4.22: what admins may know of users. Numbers, lists in pages, statistics.

Online are those who have a connection; idle those of them whose clients have all said that nobody looks (XEP-0352).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from gateway.adhoc import Ask, Done, Request, Step, bad_payload
from gateway.hooks import Feature
from gateway.mailbox.accounts import Accounts
from gateway.mailbox.administration import Administration, Standing
from gateway.operators import accounts, command, form, result
from gateway.xmpp.errors import StanzaCondition, StanzaError
from gateway.xmpp.forms import Field
from gateway.xmpp.jid import JID

MOST_ACCOUNTS = 100

PAGES = ("25", "50", "75", "100", "150", "200")
"""numbers of accounts on a page"""

ACCOUNT = Field("accountjid", "The Jabber ID for statistics", "jid-single", is_required=True)
ACCOUNTS = Field("accountjids", "The Jabber ID(s) of the accounts", "jid-multi", is_required=True)


def _is_online(is_active: bool) -> bool:
    return True


def _is_active(is_active: bool) -> bool:
    return is_active


def _is_idle(is_active: bool) -> bool:
    return not is_active


def _number(var: str, label: str, count: Callable[[Administration], int]) -> Step:
    def step(request: Request) -> Done:
        number = count(Administration(request.services.mailbox))
        return Done(result(Field(var, label, values=(str(number),))))

    return step


def _counted(wanted: Callable[[bool], bool]) -> Callable[[Administration], int]:
    return lambda administration: sum(wanted(is_active) for _, is_active in administration.connected())


def _listed(wanted: Callable[[bool], bool]) -> Callable[[Administration, str, int], list[str]]:
    return lambda administration, after, most: administration.connected_page(after=after, most=most, wanted=wanted)


def ask_page(request: Request) -> Ask:
    """Lists come in pages; the standard leaves open how to get the next one."""
    return Ask(
        form(
            "List users",
            Field(
                "max_items",
                "Maximum number of items to show",
                "list-single",
                values=(PAGES[0],),
                options=tuple((size, size) for size in PAGES),
            ),
            Field("after", "Go on behind this one; empty for the first page", "text-single"),
        )
    )


def _list(var: str, label: str, page: Callable[[Administration, str, int], list[str]]) -> Step:
    def step(request: Request) -> Done:
        size = request.text("max_items") or PAGES[0]
        if size not in PAGES:
            raise bad_payload(f"max_items is one of {', '.join(PAGES)}")
        found = page(Administration(request.services.mailbox), request.text("after"), int(size) + 1)
        fields = [Field(var, label, "jid-multi", tuple(found[: int(size)]))]
        if len(found) > int(size):
            fields.append(Field("after", "There are more: go on behind this one", values=(found[int(size) - 1],)))
        return Done(result(*fields))

    return step


def _standing(request: Request, jid: JID) -> Standing:
    found = Administration(request.services.mailbox).standing(str(jid))
    if found is None:
        raise StanzaError(StanzaCondition.ITEM_NOT_FOUND, f"{jid} does not exist")
    return found


def last_login(request: Request) -> Done:
    """Section 4.9: when each account became available last, in the order of the request; empty for never."""
    wanted = accounts(request, "accountjids", most=MOST_ACCOUNTS)
    times = tuple(_date(_standing(request, jid).last_login) for jid in wanted)
    return Done(
        result(Field("accountjids", values=tuple(map(str, wanted))), Field("lastlogin", "Last login", values=times))
    )


def _date(at_ms: int) -> str:
    """XEP-0082's DateTime."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at_ms else ""


def statistics(request: Request) -> Done:
    """Section 4.10: what is known without keeping books about people; addresses are not kept."""
    (jid,) = accounts(request, "accountjid", most=1)
    standing = _standing(request, jid)
    resources = tuple(_online(Accounts(request.services.mailbox.journal), str(jid)))
    return Done(
        result(
            Field("rostersize", "Number of contacts", values=(str(standing.contacts),)),
            Field("onlineresources", "Connected resources", values=resources),
            Field("x-offline-messages", "Messages that wait", values=(str(standing.offline),)),
            Field("x-push-registrations", "Devices that are woken", values=(str(standing.registrations),)),
            Field("x-disabled", "Disabled", values=(str(int(standing.is_disabled)),)),
        )
    )


def _online(found: Accounts, user: str) -> Iterator[str]:
    return (line.resource for line in found.sessions(user) if line.state == "live")


FEATURE = Feature(
    name="user-reports",
    commands=(
        command(
            "get-user-lastlogin", "Get the last login of users", lambda _: Ask(form("Last login", ACCOUNTS)), last_login
        ),
        command("user-stats", "Get statistics of a user", lambda _: Ask(form("Statistics", ACCOUNT)), statistics),
        command(
            "get-registered-users-num",
            "Get the number of registered users",
            _number("registeredusersnum", "The number of registered users", lambda found: found.count()),
        ),
        command(
            "get-disabled-users-num",
            "Get the number of disabled users",
            _number("disabledusersnum", "The number of disabled users", lambda found: found.count(disabled=True)),
        ),
        command(
            "get-online-users-num",
            "Get the number of online users",
            _number("onlineusersnum", "The number of online users", _counted(_is_online)),
        ),
        command(
            "get-active-users-num",
            "Get the number of active users",
            _number("activeusersnum", "The number of active users", _counted(_is_active)),
        ),
        command(
            "get-idle-users-num",
            "Get the number of idle users",
            _number("idleusersnum", "The number of idle users", _counted(_is_idle)),
        ),
        command(
            "get-registered-users-list",
            "List registered users",
            ask_page,
            _list("registereduserjids", "Users", lambda found, after, most: found.page(after=after, most=most)),
        ),
        command(
            "get-disabled-users-list",
            "List disabled users",
            ask_page,
            _list(
                "disableduserjids",
                "Disabled users",
                lambda found, after, most: found.page(after=after, most=most, disabled=True),
            ),
        ),
        command(
            "get-online-users-list",
            "List online users",
            ask_page,
            _list("onlineuserjids", "Online users", _listed(_is_online)),
        ),
        command(
            "get-active-users",
            "List active users",
            ask_page,
            _list("activeuserjids", "Active users", _listed(_is_active)),
        ),
        command("get-idle-users", "List idle users", ask_page, _list("idleuserjids", "Idle users", _listed(_is_idle))),
    ),
    requires=("commands",),
)
