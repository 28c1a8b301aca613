"""The workers' commands, as the entry point group `wakegate.commands` names them; each lives in its own package."""

from workers.appserver.cli import appserver
from workers.archiver.cli import archiver
from workers.push.cli import push
from workers.sandbox.cli import sandbox
from workers.sweeper.cli import sweeper
from workers.web.cli import web

__all__ = ["appserver", "archiver", "push", "sandbox", "sweeper", "web"]
