"""`wakegate appserver`."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.configuration import begin, config_option


@click.command()
@config_option
def appserver(config: tuple[Path, ...]) -> None:
    """Be push.<domain> for users of another XMPP server, such as Prosody: connect to it as a component (XEP-0114).

    One process serves all servers that [appserver] names. docs/app-server.md says what to configure there.

    Example: wakegate appserver --config config/wakegate.toml
    """
    from workers.appserver.process import run  # the other commands need none of it

    run(begin(config))
