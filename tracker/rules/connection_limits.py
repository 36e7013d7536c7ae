"""How many connections a tracker takes, in all and from one address, and how often an address may connect. Pure.

Invariants. The number of connections is bounded, in all and by address. Connections that have not logged in (strangers)
keep nobody out: where there is no room, the oldest stranger of the address with the most strangers is cut off for the
newcomer. So a crowd from a few addresses displaces itself. A connection that has logged in is never cut off.

Not here: sockets (server.listener), how often a client may make requests (service.dispatch).
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
class AcceptedConnection:
    """A connection from its acceptance on, before TLS and login too. `cut` ends it, and has to lead to `release`."""

    host: str
    cut: Callable[[], None]


class ConnectionLimits:
    def __init__(self) -> None:
        self._open: set[AcceptedConnection] = set()
        self._of_host: Counter[str] = Counter()
        self._strangers_of: dict[str, OrderedDict[AcceptedConnection, None]] = {}
        self._handshakes = TokenBuckets(
            HANDSHAKES_PER_S_PER_ADDRESS, HANDSHAKES_AT_ONCE_PER_ADDRESS, keys_max=2 * CONNECTIONS_MAX
        )

    def admit(self, connection: AcceptedConnection, now_s: float) -> bool:
        """False if there is no room, or this address connects too often."""
        if self._handshakes.take(connection.host, now_s) is None:
            return False
        if not self._make_room(connection.host):
            return False
        self._open.add(connection)
        self._of_host[connection.host] += 1
        self._strangers_of.setdefault(connection.host, OrderedDict())[connection] = None
        return True

    def mark_logged_in(self, connection: AcceptedConnection) -> None:
        """It keeps its place from now on."""
        mine = self._strangers_of.get(connection.host, OrderedDict())
        mine.pop(connection, None)
        if not mine:
            self._strangers_of.pop(connection.host, None)

    def release(self, connection: AcceptedConnection) -> None:
        """The connection has ended. One that was cut off is released a second time when its task ends."""
        if connection not in self._open:
            return
        self._open.remove(connection)
        self.mark_logged_in(connection)
        self._of_host[connection.host] -= 1
        if not self._of_host[connection.host]:
            del self._of_host[connection.host]

    def _make_room(self, host: str) -> bool:
        """False if there is none, and no stranger to cut off."""
        if self._of_host[host] >= CONNECTIONS_PER_ADDRESS_MAX:
            crowd = self._strangers_of.get(host)
        elif len(self._open) >= CONNECTIONS_MAX:
            crowd = max(self._strangers_of.values(), key=len, default=None)
        else:
            return True
        if not crowd:
            return False
        oldest = next(iter(crowd))
        self.release(oldest)
        oldest.cut()
        return True
