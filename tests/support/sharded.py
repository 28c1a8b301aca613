"""A pytest plugin: every journal behaves as one of a Redis Cluster, so that tests show what deliveries across slots do.

pytest -p tests.support.sharded tests/mailbox tests/scenarios
"""

from gevent import monkey

monkey.patch_all()  # a plugin is imported before conftest.py, which would do it

from gateway.mailbox import keys  # noqa: E402 - behind the patch
from gateway.mailbox.journal import Journal  # noqa: E402 - behind the patch

Journal.is_sharded = True
keys.BUCKETS = 61
"""Juliet and Romeo, of whom most tests tell, would share one of 64."""
