"""The state of a simulated client and of its links. Not here: what they do (swarm)."""

from collections import deque
from dataclasses import dataclass, field

from engine.swarm.actions import Ask
from engine.swarm.scheduler import Scheduler
from engine.swarm.sender_choice import SentPieces
from engine.swarm.upload_slots import UploadSlots
from tests.testkit.simulation.network import Port, Transfer


@dataclass(slots=True, eq=False)
class Sending:
    """Bytes [begin, end) of a piece on their way; `came` are there. `left`: not sent when somebody last looked."""

    ask: Ask
    piece: int
    begin: int
    end: int
    came: int = 0
    left: int = -1
    transfer: Transfer | None = None


@dataclass(slots=True, eq=False)
class Serving:
    """One serve link: requests in line, and what is being sent."""

    server: "Node"
    fetcher: "Node"
    queue: deque[Ask] = field(default_factory=deque)
    sending: Sending | None = None


@dataclass(slots=True, eq=False)
class Node:
    """A client. `lies`: how many of its pieces are wrong. `asked`, `arriving`: by request."""

    number: int
    port: Port
    have: bytearray
    sent: SentPieces
    slots: UploadSlots[Serving]
    joined_at_s: float
    account: str
    lies: float = 0.0
    is_gone: bool = False
    scheduler: Scheduler | None = None
    finished_at_s: float | None = None
    serving: dict[int, Serving] = field(default_factory=dict)
    fetching_from: set[int] = field(default_factory=set)
    banned: set[int] = field(default_factory=set)
    asked: dict[int, Ask] = field(default_factory=dict)
    arriving: dict[int, Sending] = field(default_factory=dict)
    ready: dict[int, int] = field(default_factory=dict)
    wasted_bytes: int = 0
    verified_at_s: list[float] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        return self.scheduler is None or self.scheduler.is_complete
