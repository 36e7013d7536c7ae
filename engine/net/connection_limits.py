"""Who has dialled this worker: links by address and by account, so that nobody can take all the places. Pure.

Invariant: the number of accepted links is bounded, in all, by address and by account. Where an address or the whole
worker is full, the caller who has been there longest without proving who it is makes room; only if all have proven it,
the newcomer is turned away. So connections that never speak keep no member out.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from engine.settings import Settings


@dataclass(eq=False, slots=True)
class AcceptedLink:
    """An accepted connection. `cut` ends it and may lead to `leave` later."""

    host: str
    cut: Callable[[], object]
    user_id: str = ""


class ConnectionLimits:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._inside: set[AcceptedLink] = set()
        self._unproven: OrderedDict[AcceptedLink, None] = OrderedDict()
        self._of_host: Counter[str] = Counter()
        self._of_account: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._inside)

    def enter(self, caller: AcceptedLink) -> bool:
        """False if it has to be turned away."""
        if self._of_host[caller.host] >= self._settings.serve_links_per_address:
            is_there_room = self._put_out(caller.host)
        else:
            is_there_room = len(self._inside) < self._settings.serve_links or self._put_out(None)
        if is_there_room:
            self._inside.add(caller)
            self._unproven[caller] = None
            self._of_host[caller.host] += 1
        return is_there_room

    def prove(self, caller: AcceptedLink, user_id: str) -> bool:
        """False if this account has as many links as it may."""
        if caller not in self._unproven or self._of_account[user_id] >= self._settings.serve_links_per_account:
            return False
        del self._unproven[caller]
        caller.user_id = user_id
        self._of_account[user_id] += 1
        return True

    def leave(self, caller: AcceptedLink) -> None:
        """May be said again."""
        if caller not in self._inside:
            return
        self._inside.remove(caller)
        self._unproven.pop(caller, None)
        _count_down(self._of_host, caller.host)
        if caller.user_id:
            _count_down(self._of_account, caller.user_id)

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
