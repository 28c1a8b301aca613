"""`wakegate sandbox`: local APNs and FCM."""

import json
import signal
from pathlib import Path

import click
import gevent
from gevent.event import Event

EXAMPLE = """\b
Example:
  wakegate sandbox --data-dir data
  curl http://127.0.0.1:2200/pushes
"""


class AddressType(click.ParamType[tuple[str, int]]):
    """HOST:PORT, for IPv6 [HOST]:PORT; port 0 lets the system choose."""

    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        host, _, port = str(value).rpartition(":")
        if not host or not port.isdigit() or int(port) > 65535:
            self.fail(f"{value!r} is not HOST:PORT", param, ctx)
        return host.strip("[]"), int(port)


@click.command(epilog=EXAMPLE)
@click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Keys, certificates and addresses.json go to DIR/sandbox; they are made once.",
)
@click.option("--apns", type=AddressType(), default="127.0.0.1:2197", show_default=True, help="APNs, production.")
@click.option(
    "--apns-development", type=AddressType(), default="127.0.0.1:2198", show_default=True, help="APNs, development."
)
@click.option("--fcm", type=AddressType(), default="127.0.0.1:2199", show_default=True, help="FCM and OAuth tokens.")
@click.option(
    "--control", type=AddressType(), default="127.0.0.1:2200", show_default=True, help="Received pushes, faults."
)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as JSON.")
def sandbox(
    data_dir: Path,
    apns: tuple[str, int],
    apns_development: tuple[str, int],
    fcm: tuple[str, int],
    control: tuple[str, int],
    as_json: bool,
) -> None:
    """Run APNs and FCM on this machine, for development, demo and tests.

    Any APNs or FCM client that can be given another address can push to it. It shows what it received on the control
    port and makes what mistakes it is told to; see docs/sandbox.md.
    """
    # Here and not above: `wakegate push --help` need not load a server.
    from gateway.supervisor import notify_ready
    from workers.sandbox.server import Addresses, Sandbox

    try:
        server = Sandbox(data_dir, Addresses(apns=apns, apns_development=apns_development, fcm=fcm, control=control))
        addresses = server.start()
    except OSError as error:
        raise click.ClickException(
            f"the sandbox cannot start: {error}; choose other ports or another --data-dir"
        ) from error
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    if as_json:
        click.echo(json.dumps(addresses, indent=2))
    else:
        for name in ("apns_endpoint", "apns_development_endpoint", "fcm_endpoint", "control_url", "ca_file"):
            click.echo(f"{name:26} {addresses[name]}")
    notify_ready()
    stopping.wait()
    server.stop()
