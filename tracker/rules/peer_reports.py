"""What fetchers report of the peers they were handed: that one gave nothing, or that it serves. Pure.

A report has two effects. The session that made it is not handed the peer again for PEER_REPORT_LIFE_S. For everybody
else the peer is in doubt: it comes later in the order, by the number of distinct accounts that say so (at most
DOUBTERS_COUNTED_MAX), and is never left out. The doubt ends when another account says that the peer serves.

Invariant: an account counts once, however many sessions it reports from, and never about itself. Nothing is kept of
peers that are gone, and at most PEER_REPORTS_PER_ACCOUNT_MAX reports of an account; the oldest go first.

Not here: who is handed whom (handout).
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

from tracker.rules.presence import Swarm
from tracker.settings import DOUBTERS_COUNTED_MAX, PEER_REPORT_LIFE_S, PEER_REPORTS_PER_ACCOUNT_MAX


class Asker(NamedTuple):
    """The session that asks for peers, and its account."""

    session: int
    user_id: str


_Place = tuple[Swarm, bytes]
"""A peer in one swarm, by its thumbprint."""


class PeerReports:
    def __init__(self) -> None:
        self._until_s: dict[str, dict[tuple[int, _Place], float]] = {}
        self._doubters: dict[Swarm, dict[bytes, dict[str, int]]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._until_s.values()))

    def take(
        self,
        swarm: Swarm,
        asker: Asker,
        failed: Collection[bytes],
        served: Collection[bytes],
        owners: Mapping[bytes, str],
        now_s: float,
    ) -> None:
        """`owners`: the account of each peer that is in the swarm now, by thumbprint."""
        for thumbprint in served:
            if owners.get(thumbprint, asker.user_id) != asker.user_id:
                self._withdraw(asker, (swarm, thumbprint))
                self._restore((swarm, thumbprint))
        for thumbprint in failed:
            if thumbprint in owners and thumbprint not in served:
                self._note(asker, (swarm, thumbprint), owners[thumbprint], now_s + PEER_REPORT_LIFE_S)

    def failed_of(self, swarm: Swarm, asker: Asker, now_s: float) -> set[bytes]:
        """The peers that this very session reported as giving nothing."""
        said = self._until_s.get(asker.user_id)
        if not said:
            return set()
        return {
            thumbprint
            for (session, (where, thumbprint)), until_s in said.items()
            if session == asker.session and where == swarm and until_s > now_s
        }

    def doubts_of(self, swarm: Swarm) -> dict[bytes, int]:
        """For each peer in doubt, how many accounts say that it serves nothing, up to a bound."""
        doubters = self._doubters.get(swarm, {})
        return {thumbprint: min(len(counts), DOUBTERS_COUNTED_MAX) for thumbprint, counts in doubters.items()}

    def sweep(self, now_s: float) -> None:
        """To be called every few seconds. Forgets old reports."""
        for user_id in list(self._until_s):
            said = self._until_s[user_id]
            for (session, place), until_s in list(said.items()):
                if until_s > now_s:
                    break  # those after it were said later
                self._withdraw(Asker(session, user_id), place)

    def _note(self, asker: Asker, place: _Place, owner: str, until_s: float) -> None:
        self._withdraw(asker, place)
        said = self._until_s.setdefault(asker.user_id, {})
        said[asker.session, place] = until_s
        if owner != asker.user_id:
            swarm, thumbprint = place
            counts = self._doubters.setdefault(swarm, {}).setdefault(thumbprint, {})
            counts[asker.user_id] = counts.get(asker.user_id, 0) + 1
        if len(said) > PEER_REPORTS_PER_ACCOUNT_MAX:
            session, oldest = next(iter(said))
            self._withdraw(Asker(session, asker.user_id), oldest)

    def _withdraw(self, asker: Asker, place: _Place) -> None:
        said = self._until_s.get(asker.user_id, {})
        if said.pop((asker.session, place), None) is None:
            return
        if not said:
            del self._until_s[asker.user_id]
        swarm, thumbprint = place
        counts = self._doubters.get(swarm, {}).get(thumbprint, {})
        if asker.user_id in counts:
            counts[asker.user_id] -= 1
            if not counts[asker.user_id]:
                del counts[asker.user_id]
        if not counts:
            self._restore(place)

    def _restore(self, place: _Place) -> None:
        """Ends every doubt about this peer."""
        swarm, thumbprint = place
        doubters = self._doubters.get(swarm, {})
        doubters.pop(thumbprint, None)
        if not doubters:
            self._doubters.pop(swarm, None)
