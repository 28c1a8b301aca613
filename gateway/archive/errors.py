"""What can go wrong with the SQL part of archives."""

from __future__ import annotations

from gateway.errors import WakegateError


class ArchiveUnavailable(WakegateError):
    """The database did not answer, or refused; trying again may help."""

    metric = "archive_unavailable"


class ArchiveForeign(WakegateError):
    """The database holds tables of a newer Wakegate: this version must not touch them."""

    alert = True
    metric = "archive_foreign"
