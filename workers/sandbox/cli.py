"""`wakegate sandbox`: local APNs, FCM and Web Push."""

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


ENDPOINTS = (
    "apns_endpoint",
    "apns_development_endpoint",
    "fcm_endpoint",
    "webpush_endpoint",
    "control_url",
    "ca_file",
)


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
@click.option("--webpush", type=AddressType(), default="127.0.0.1:2201", show_default=True, help="Web Push.")
@click.option("--second-host", default="", metavar="HOST", help="APNs listens at this address, too (127.0.0.2).")
@click.option(
    "--scenario",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Play this script of faults from the start; config/sandbox/ has some.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the addresses as JSON.")
def sandbox(
    data_dir: Path,
    apns: tuple[str, int],
    apns_development: tuple[str, int],
    fcm: tuple[str, int],
    control: tuple[str, int],
    webpush: tuple[str, int],
    second_host: str,
    scenario: Path | None,
    as_json: bool,
) -> None:
    """Run APNs, FCM and Web Push on this machine, for development, demo and tests.

    Any client that can be given another address can push to it. It shows what it received on the control
    port and makes what mistakes it is told to; see docs/sandbox.md.
    """
    # Here and not above: `wakegate push --help` need not load a server.
    from gateway.supervisor import notify_ready
    from workers.sandbox.scenario import BadScenario, read_scenario
    from workers.sandbox.server import Addresses, Sandbox

    try:
        script = None if scenario is None else read_scenario(scenario.read_bytes())
    except BadScenario as error:
        raise click.ClickException(f"{scenario}: {error}") from error
    try:
        wanted = Addresses(apns=apns, apns_development=apns_development, fcm=fcm, control=control, webpush=webpush)
        server = Sandbox(data_dir, wanted, second_host=second_host)
        addresses = server.start()
    except OSError as error:
        raise click.ClickException(
            f"the sandbox cannot start: {error}; choose other ports (`wakegate up --demo`: --sandbox-option"
            " webpush=127.0.0.1:2211) or another --data-dir"
        ) from error
    stopping = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        gevent.signal_handler(number, stopping.set)
    if as_json:
        click.echo(json.dumps(addresses, indent=2))
    else:
        for name in ENDPOINTS:
            click.echo(f"{name:26} {addresses[name]}")
    if script is not None:
        server.director.play(script)
    notify_ready()
    stopping.wait()
    server.stop()
