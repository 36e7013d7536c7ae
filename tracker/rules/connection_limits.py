"""Who may come in, before a single byte is exchanged: connections by address, and how often one may knock. Pure.

Invariant: the number of connections is bounded, in all and by address, and strangers never keep anybody out: where it
is full, a stranger makes room for the one who comes: of the address with the most of them, the one who has been there
longest. So a crowd from a few addresses treads on its own feet. Only who has logged in holds a place.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from tracker.rules.token_buckets import TokenBuckets
from tracker.settings import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_ADDRESS_MAX,
    HANDSHAKES_AT_ONCE_PER_ADDRESS,
    HANDSHAKES_PER_S_PER_ADDRESS,
)


@dataclass(eq=False, slots=True)
class Guest:
    """A connection, from its acceptance on. `cut` ends it, and has to lead to `leave`."""

    host: str
    cut: Callable[[], None]


class ConnectionLimits:
    def __init__(self) -> None:
        self._inside: set[Guest] = set()
        self._of_host: Counter[str] = Counter()
        self._strangers_of: dict[str, OrderedDict[Guest, None]] = {}
        self._knocks = TokenBuckets(
            HANDSHAKES_PER_S_PER_ADDRESS, HANDSHAKES_AT_ONCE_PER_ADDRESS, keys_max=2 * CONNECTIONS_MAX
        )

    def enter(self, guest: Guest, now_s: float) -> bool:
        """False if there is no room, or this address knocks too often."""
        if self._knocks.take(guest.host, now_s) is None:
            return False
        if not self._make_room(guest.host):
            return False
        self._inside.add(guest)
        self._of_host[guest.host] += 1
        self._strangers_of.setdefault(guest.host, OrderedDict())[guest] = None
        return True

    def know(self, guest: Guest) -> None:
        """It has logged in, so it keeps its place."""
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

    def _make_room(self, host: str) -> bool:
        """False if there is none, and nobody to put out."""
        if self._of_host[host] >= CONNECTIONS_PER_ADDRESS_MAX:
            crowd = self._strangers_of.get(host)
        elif len(self._inside) >= CONNECTIONS_MAX:
            crowd = max(self._strangers_of.values(), key=len, default=None)
        else:
            return True
        if not crowd:
            return False
        oldest = next(iter(crowd))
        self.leave(oldest)
        oldest.cut()
        return True
