"""The function that tells whether a ticket is valid, and what it answers. Pure types.

The client gives it to the coordinator, which passes it on to every worker by name. Not here: judging a ticket for one
peer and one file (worker.gate), signing (tracker.protocol.tickets).
"""

from collections.abc import Callable, Mapping
from typing import Protocol


class TicketClaims(Protocol):
    """What a valid ticket says."""

    @property
    def user_id(self) -> str: ...
    @property
    def group_id(self) -> str: ...
    @property
    def epoch(self) -> int: ...
    @property
    def thumbprint(self) -> bytes: ...
    @property
    def expires_at_s(self) -> float: ...
    @property
    def is_open(self) -> bool: ...


Keys = Mapping[str, tuple[bytes, float]]
"""Of those who may sign tickets: key id → raw Ed25519 public key, and until when it is believed."""

CheckTicket = Callable[[str, Keys, float], TicketClaims]
"""(ticket, keys, time.time()) → claims; raises ValueError. It is given from outside and sent to the workers by name, so
that only the client knows how a tracker signs."""
