"""A real Prosody from Debian's packages, with its own cloud-notify module, as an ordinary process of a test's."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent import socket

from gateway.demo.client import Client
from gateway.demo.stream import Address
from gateway.process import dies_with_parent
from tests.support.processes import PASSWORD, free_ports

DOMAIN = "peer.example"
PUSH_SERVICE = f"push.{DOMAIN}"
SECRET = "component's password"
CLOUD_NOTIFY = "mod_cloud_notify"

CONFIG = """\
{as_root}
pidfile = "{directory}/prosody.pid"
data_path = "{directory}/data"
log = {{ debug = "{directory}/log" }}
modules_enabled = {{ "roster", "saslauth", "disco", "ping", "offline", "smacks", "cloud_notify" }}
modules_disabled = {{ "s2s", "tls", "http" }}
authentication = "internal_plain"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {c2s} }}
component_ports = {{ {component} }}
component_interfaces = {{ "127.0.0.1" }}
push_max_errors = {push_max_errors}
push_notification_with_sender = {tells}
push_notification_with_body = {tells}

VirtualHost "{domain}"

Component "{service}"
    component_secret = "{secret}"
"""


def missing() -> str:
    """What keeps tests from running one, "" if nothing does."""
    if shutil.which("prosody") is None:
        return "prosody is not installed (Debian: apt-get install prosody prosody-modules)"
    if not any(
        Path(place, CLOUD_NOTIFY).exists() for place in ("/usr/lib/prosody/modules", "/usr/share/prosody/modules")
    ):
        return f"Prosody's {CLOUD_NOTIFY} is not installed (Debian: apt-get install prosody-modules)"
    return ""


class NotInTime(AssertionError):
    """What a test waited for did not come; the text has the end of Prosody's log."""


class Prosody:
    """One server below a directory, with users romeo and juliet at `DOMAIN`, and a component `PUSH_SERVICE`."""

    def __init__(self, directory: Path, *, push_max_errors: int = 16, tells: bool = False) -> None:
        directory.mkdir(parents=True)
        self.directory = directory
        self.c2s, self.component = free_ports(2)
        self.config = directory / "prosody.cfg.lua"
        self.log_file = directory / "log"
        (directory / "data").mkdir()
        self.config.write_text(
            CONFIG.format(
                as_root="run_as_root = true" if os.geteuid() == 0 else "",
                directory=directory, c2s=self.c2s, component=self.component, domain=DOMAIN, service=PUSH_SERVICE,
                secret=SECRET, push_max_errors=push_max_errors, tells=str(tells).lower(),
            )
        )  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def add_user(self, name: str) -> None:
        """Makes an account, before the start."""
        accounts = self.directory / "data" / DOMAIN.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True, exist_ok=True)
        (accounts / f"{name}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}"; }};\n')

    def start(self) -> "Prosody":
        """Returns when clients and components can connect."""
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                ["prosody", "-F", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.directory,
                preexec_fn=dies_with_parent(),
            )
        self.wait(lambda: all(map(_accepts, (self.c2s, self.component))), "Prosody to accept")
        return self

    def stop(self, *, kill: bool = False) -> None:
        """Ends it, in order or at once."""
        if self._process is None:
            return
        if kill:
            self._process.kill()
        else:
            self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(10)
        self._process = None

    def client(self, name: str, resource: str = "phone") -> Client:
        """A client that is not connected yet."""
        return Client(name, PASSWORD, Address("127.0.0.1", self.c2s, DOMAIN, "none"), resource=resource)

    def log(self) -> str:
        """Everything it wrote."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
        """Returns as soon as `condition` holds. Raises NotInTime."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                output = (self.directory / "output").read_text(errors="replace")
                raise NotInTime(f"waited {timeout_s} s for {what}. Prosody's output:\n{output}\n{self.log()[-5000:]}")
            gevent.sleep(0.02)


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError:
        return False
    return True
