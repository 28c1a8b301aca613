"""XEP-0082 section 3.2: DateTime, read. `gateway.xmpp.delay.stamp` writes it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from gateway.xmpp.errors import ProtocolError

_FORM: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,18}))?(?:Z|([+-])(\d\d):(\d\d))", re.ASCII
)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NotADateTime(ProtocolError):
    """The text is no DateTime of XEP-0082."""

    metric = "not_a_date_time"


def read_ms(text: str) -> tuple[int, bool]:
    """Milliseconds since 1970, rounded down, and whether that is exact. Raises NotADateTime."""
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise NotADateTime("a time looks like 2002-09-10T23:41:07Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction = match[7] or ""
    try:
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
        if match[8]:
            zone = timedelta(hours=int(match[9]), minutes=int(match[10]))
            moment = moment - zone if match[8] == "+" else moment + zone
    except (ValueError, OverflowError) as error:
        raise NotADateTime(str(error)) from error
    if second > 60:
        raise NotADateTime("second must be in 0..60")
    ms = (moment - _EPOCH) // timedelta(milliseconds=1) + (1000 if second == 60 else 0)
    return ms + int((fraction + "000")[:3]), not fraction[3:].strip("0")
