"""What can go wrong with the store, as the rest of the code sees it."""

from __future__ import annotations

from gateway.errors import WakegateError


class StoreError(WakegateError):
    """The mailbox could not do what it was asked."""

    metric = "store"


class StoreUnavailable(StoreError):
    """Redis did not answer in time, or is not there; trying again may help."""

    metric = "store_unavailable"


class StoreCorrupt(StoreError):
    """Redis refused an operation that ought to work: a bug of ours, or foreign data. Somebody should look."""

    alert = True
    metric = "store_corrupt"
