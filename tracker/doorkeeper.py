"""Who may come in, before a single byte is exchanged: connections by address, and how often one may knock. Pure.

Invariant: the number of connections is bounded, in all and by address, and strangers never keep anybody out: where it
is full, the stranger who has been there longest makes room for the one who comes. Only who has logged in holds a place.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tracker.settings import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_ADDRESS_MAX,
    HANDSHAKES_AT_ONCE_PER_ADDRESS,
    HANDSHAKES_PER_S_PER_ADDRESS,
)
from tracker.token_buckets import TokenBuckets


@dataclass(eq=False, slots=True)
class Guest:
    """A connection, from its acceptance on. `cut` ends it, and has to lead to `leave`."""

    host: str
    cut: Callable[[], None]


class Doorkeeper:
    def __init__(self) -> None:
        self._inside: set[Guest] = set()
        self._of_host: Counter[str] = Counter()
        self._strangers: OrderedDict[Guest, None] = OrderedDict()
        self._strangers_of: dict[str, OrderedDict[Guest, None]] = {}
        self._knocks = TokenBuckets(
            HANDSHAKES_PER_S_PER_ADDRESS, HANDSHAKES_AT_ONCE_PER_ADDRESS, keys_max=2 * CONNECTIONS_MAX
        )

    def enter(self, guest: Guest, now_s: float) -> bool:
        """False if there is no room, or this address knocks too often."""
        if self._knocks.take(guest.host, now_s) is None:
            return False
        if self._of_host[guest.host] >= CONNECTIONS_PER_ADDRESS_MAX:
            if not self._put_out_oldest(self._strangers_of.get(guest.host)):
                return False
        elif len(self._inside) >= CONNECTIONS_MAX and not self._put_out_oldest(self._strangers):
            return False
        self._inside.add(guest)
        self._of_host[guest.host] += 1
        self._strangers[guest] = None
        self._strangers_of.setdefault(guest.host, OrderedDict())[guest] = None
        return True

    def know(self, guest: Guest) -> None:
        """It has logged in, so it keeps its place."""
        self._strangers.pop(guest, None)
        mine = self._strangers_of.get(guest.host, OrderedDict())
        mine.pop(guest, None)
        if not mine:
            self._strangers_of.pop(guest.host, None)

    def leave(self, guest: Guest) -> None:
        """Whoever was put out leaves a second time when its connection ends."""
        if guest not in self._inside:
            return
        self._inside.remove(guest)
        self.know(guest)
        self._of_host[guest.host] -= 1
        if not self._of_host[guest.host]:
            del self._of_host[guest.host]

    def _put_out_oldest(self, crowd: OrderedDict[Guest, None] | None) -> bool:
        """False if there is nobody to put out."""
        if not crowd:
            return False
        oldest = next(iter(crowd))
        self.leave(oldest)
        oldest.cut()
        return True
