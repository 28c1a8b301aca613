"""One machine's processes under one parent: started in order, restarted when they die, stopped together.

A child reports that it serves by `notify_ready()`. That is all a process has to know of its supervisor, and it does
nothing where there is none, so every process runs as well under systemd, honcho or by hand.
"""

from gateway.supervisor.readiness import notify_ready

__all__ = ["notify_ready"]
