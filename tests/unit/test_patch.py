"""What every process does first."""

import json
import subprocess
import sys

PROGRAM = """
from importlib import metadata
searches, search, found = [], metadata.distributions, metadata.entry_points
metadata.distributions = lambda **names: searches.append(names) or search(**names)
from gateway.patch import patch_all
patch_all()
from gevent import monkey
import json
print(json.dumps([len(searches), monkey.is_module_patched("socket"), metadata.entry_points is found]))
"""


def test_all_is_patched_and_the_installed_packages_are_read_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True, timeout=60)

    assert [1, True, True] == json.loads(done.stdout)
