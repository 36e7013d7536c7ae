"""Which peers somebody hears about. Pure.

A swarm spreads fastest when everybody has about the same number of links, drawn at random: a random regular graph. So
the tracker counts, per file, in how many handouts each session took part, on either side, and hands out those with
the fewest, ties broken by chance. Invariant: never the asker itself, never more than `want`, and at least
COMPLETE_MIN peers that have the whole file where there are any, since a swarm of pieces alone may lack one.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tracker.presence import Sharer, Swarm

if TYPE_CHECKING:
    import random

COMPLETE_MIN = 2


class Handout:
    def __init__(self) -> None:
        self._degrees: dict[Swarm, dict[int, int]] = {}

    def choose(
        self, swarm: Swarm, asker: int, sharers: Sequence[Sharer], want: int, chance: "random.Random"
    ) -> list[Sharer]:
        """At most `want` of `sharers`, in no telling order."""
        degrees = self._only_present(swarm, asker, sharers)
        others = [sharer for sharer in sharers if sharer.session != asker]
        chance.shuffle(others)
        others.sort(key=lambda sharer: degrees.get(sharer.session, 0))
        chosen = _with_complete(others, want)
        for sharer in chosen:
            degrees[sharer.session] = degrees.get(sharer.session, 0) + 1
        degrees[asker] = degrees.get(asker, 0) + len(chosen)
        chance.shuffle(chosen)
        return chosen

    def forget_unshared(self, is_shared: Callable[[Swarm], bool]) -> None:
        """Drops the counts of files that nobody shares any more."""
        self._degrees = {swarm: counts for swarm, counts in self._degrees.items() if is_shared(swarm)}

    def _only_present(self, swarm: Swarm, asker: int, sharers: Sequence[Sharer]) -> dict[int, int]:
        """The counts of this swarm without those who left it, so that they never outgrow it."""
        present = {sharer.session for sharer in sharers} | {asker}
        old = self._degrees.get(swarm, {})
        kept = {session: degree for session, degree in old.items() if session in present}
        self._degrees[swarm] = kept
        return kept


def _with_complete(ranked: list[Sharer], want: int) -> list[Sharer]:
    chosen, rest = ranked[:want], ranked[want:]
    complete_count = sum(sharer.is_complete for sharer in chosen)
    spare = [sharer for sharer in rest if sharer.is_complete]
    missing = min(COMPLETE_MIN - complete_count, len(spare), want - complete_count)
    for sharer in spare[: max(0, missing)]:
        last_partial = max(index for index, one in enumerate(chosen) if not one.is_complete)
        chosen[last_partial] = sharer
    return chosen
