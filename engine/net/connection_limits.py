"""The accepted connections of a worker by address and by account, so that nobody can take all the places. Pure.

Invariant: the number of accepted connections is bounded, in all, by address and by account. Where an address or the
whole worker is full, the connection that has been there longest without proving who it is makes room; only if all have
proven it, the newcomer is turned away. So connections that never speak keep no member out.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from engine.settings import Settings


@dataclass(eq=False, slots=True)
class AcceptedConnection:
    """An accepted connection. `cut` ends it and may lead to `leave` later."""

    host: str
    cut: Callable[[], object]
    user_id: str = ""


class ConnectionLimits:
    """Of one worker; the limits are in the settings (`serve_links…`)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inside: set[AcceptedConnection] = set()
        self._unproven: OrderedDict[AcceptedConnection, None] = OrderedDict()
        self._of_host: Counter[str] = Counter()
        self._of_account: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, connection: AcceptedConnection) -> bool:
        """Count a new connection; False if it has to be turned away."""
        if self._of_host[connection.host] >= self._settings.serve_links_per_address:
            is_there_room = self._put_out(connection.host)
        else:
            is_there_room = len(self._inside) < self._settings.serve_links or self._put_out(None)
        if is_there_room:
            self._inside.add(connection)
            self._unproven[connection] = None
            self._of_host[connection.host] += 1
        return is_there_room

    def prove(self, connection: AcceptedConnection, user_id: str) -> bool:
        """The connection has proven whose it is; False if that account has as many links as it may."""
        if connection not in self._unproven or self._of_account[user_id] >= self._settings.serve_links_per_account:
            return False
        del self._unproven[connection]
        connection.user_id = user_id
        self._of_account[user_id] += 1
        return True

    def leave(self, connection: AcceptedConnection) -> None:
        """The connection has ended. A second call changes nothing."""
        if connection not in self._inside:
            return
        self._inside.remove(connection)
        self._unproven.pop(connection, None)
        _count_down(self._of_host, connection.host)
        if connection.user_id:
            _count_down(self._of_account, connection.user_id)

    def _put_out(self, host: str | None) -> bool:
        oldest = next((each for each in self._unproven if host in (None, each.host)), None)
        if oldest is None:
            return False
        self.leave(oldest)
        oldest.cut()
        return True


def _count_down(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
