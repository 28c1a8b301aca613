"""What can go wrong with the store, as the rest of the code sees it."""

from __future__ import annotations

from gateway.errors import WakegateError


class StoreError(WakegateError):
    """The mailbox could not do what it was asked."""

    metric = "store"


class StoreUnavailable(StoreError):
    """Redis did not answer in time, or is not there; trying again may help."""

    metric = "store_unavailable"


class StoreFull(StoreError):
    """Redis has reached its `maxmemory`, and took nothing of what this operation would have stored. What is there is
    safe, and goes on leaving it: trying again later may help.
    """

    metric = "store_full"


class StoreMisconfigured(StoreUnavailable):
    """Redis does not let us in, or not with this configuration: trying again will not help until somebody changes it.

    A start ends with it; a process that runs keeps trying, since an operator may be about to mend it.
    """

    alert = True
    metric = "store_misconfigured"


class StoreCorrupt(StoreError):
    """Redis refused an operation that ought to work: a bug of ours, or foreign data. Somebody should look."""

    alert = True
    metric = "store_corrupt"
