"""One deed of a foreign client library, in a process of its own and without gevent."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.processes import PASSWORD, Account, Server
from tests.support.runners import Library

ROOT = Path(__file__).parents[2]


def deed(server: Server, library: Library, account: Account, does: str, *arguments: str) -> Any:
    """Logs in, does it and answers what it found; {"error": condition} if the server refused. See
    `tests.support.slixmpp_information` and `aioxmpp_information`.
    """
    address = server.address()
    done = subprocess.run(
        [sys.executable, "-m", f"tests.support.{library}_information", does, f"{account.jid}/deed", PASSWORD,
         str(address.port), address.cafile, *arguments],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done.stderr[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
