"""What can go wrong with the SQL part of archives."""

from __future__ import annotations

from gateway.errors import WakegateError


class ArchiveError(WakegateError):
    """The database did not do what it was asked."""

    metric = "archive"


class ArchiveUnavailable(ArchiveError):
    """The database did not answer; trying again may help."""

    metric = "archive_unavailable"


class ArchiveRefused(ArchiveError):
    """The database refused something that ought to work: a bug of ours, or foreign data. Somebody should look."""

    alert = True
    metric = "archive_refused"


class ArchiveForeign(ArchiveError):
    """The database holds tables of a newer Wakegate: this version must not touch them."""

    alert = True
    metric = "archive_foreign"
