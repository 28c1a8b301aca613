"""Wakegate: an XMPP server for mobile apps, whose sessions are cursors over durable queues in Redis."""

__version__ = "0.1.0"
