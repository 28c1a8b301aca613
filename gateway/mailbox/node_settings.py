"""[nodes]: gateways side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.setting_values import address_fault
from gateway.settings import setting


@dataclass(frozen=True)
class NodesSettings:
    """[nodes] Gateways side by side: when one is taken for dead, and how one that stops hands its sessions over."""

    lease: float = setting(
        10.0,
        unit="s",
        least=3,
        most=300,
        help="A gateway that says nothing for so long is dead: its sessions sleep, and can be resumed at the others. "
        "It beats five times as often. The same for all processes.",
    )
    drain_rate: float = setting(
        100.0,
        unit="sessions/s",
        least=1,
        most=100000,
        help="A gateway that stops while others run lets its clients go no faster, so that the others are not flooded.",
    )
    drain_time: float = setting(
        30.0, unit="s", least=0, most=600, help="At most so long; with more sessions it is faster. 0 = all at once."
    )
    see_other_host: list[str] = setting(
        [],
        help='"host:port" of other hosts, to which a gateway that stops sends its clients (RFC 6120 section 4.9.3.19); '
        "[] = its clients come back to where they came from. docs/operations.md says when that is better.",
    )

    def faults(self) -> Iterator[str]:
        """Each host must be one that a client can connect to."""
        for address in self.see_other_host:
            fault = address_fault(address, least_port=1)
            if fault:
                yield f'see_other_host: "{address}": {fault}'

    @property
    def heartbeat_s(self) -> float:
        """How often a gateway says that it lives."""
        return self.lease / 5
