"""The workers' commands, as the entry point group `wakegate.commands` names them; each lives in its own package."""

from workers.sandbox.cli import sandbox

__all__ = ["sandbox"]
