"""gevent's patch of the standard library, without what makes it slow."""

from __future__ import annotations

from importlib import metadata

from gevent import monkey


def patch_all() -> None:
    """As `gevent.monkey.patch_all`. For each module that it patches, it looks for plugins in all packages that are
    installed, which takes longer than all the rest: here they are read once.
    """
    search, installed = metadata.entry_points, metadata.entry_points()
    metadata.entry_points = installed.select  # the same for who names a group, as gevent does
    try:
        monkey.patch_all()
    finally:
        metadata.entry_points = search
