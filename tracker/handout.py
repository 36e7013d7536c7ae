"""Which peers somebody hears about: the neighbours it has in a random regular graph of the swarm. Pure.

A swarm spreads fastest when everybody has the same small number of links, drawn at random: ten keep a thousand peers
within five per cent of the bound, and more make it worse, because a piece then comes over one of more links at a time
(ARCHITECTURE.md, scheduling). So the tracker draws the links, per file, and hands out neighbours; both ends of a link
are told. A newcomer takes places that are free; when there are none it goes between two that are linked,
and everybody has as many links as before. Who leaves takes its links along, and its neighbours get others when they
ask again. Two complete peers have nothing to say to each other: they are never linked, and no longer linked once both
are complete.

Invariant: links are mutual, never to oneself, never between two complete peers; an incomplete peer that asks has a
neighbour if there is anybody, a complete one if anybody it could serve has a place; nobody has more than DEGREE links
because of others, but for one that an incomplete newcomer would otherwise be without.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from tracker.presence import Sharer, Swarm

if TYPE_CHECKING:
    import random

DEGREE = 10
"""How many links each peer should have."""


class Handed(NamedTuple):
    """The neighbours of whoever asked, in no telling order; `new`: those that it got just now."""

    peers: list[Sharer]
    new: list[Sharer]


class Handout:
    def __init__(self) -> None:
        self._graphs: dict[Swarm, _Graph] = {}

    def choose(
        self, swarm: Swarm, asker: int, sharers: Sequence[Sharer], want: int, chance: "random.Random"
    ) -> Handed:
        """At most `want` neighbours. The asker need not be a sharer yet: its place is kept for some seconds."""
        graph = self._graphs.setdefault(swarm, _Graph())
        by_session = {sharer.session: sharer for sharer in sharers}
        graph.follow({session: sharer.is_complete for session, sharer in by_session.items()}, asker)
        before = graph.neighbours_of(asker)
        graph.join(asker, [session for session in by_session if session != asker], chance)
        peers = [by_session[session] for session in graph.neighbours_of(asker) if session in by_session]
        chance.shuffle(peers)
        return Handed(peers[:want], [peer for peer in peers[:want] if peer.session not in before])

    def sweep(self, is_shared: Callable[[Swarm], bool]) -> None:
        """To be called every few seconds: forgets files that nobody shares, and who asked and then shared nothing."""
        self._graphs = {swarm: graph for swarm, graph in self._graphs.items() if is_shared(swarm)}
        for graph in self._graphs.values():
            graph.lose_patience()


class _Graph:
    """One swarm. `expected`: who asked and shares nothing yet, and whether it was so at the last sweep already."""

    def __init__(self) -> None:
        self._links: dict[int, set[int]] = {}
        self._complete: set[int] = set()
        self._expected: dict[int, bool] = {}

    def neighbours_of(self, node: int) -> set[int]:
        return set(self._links.get(node, ()))

    def follow(self, present: Mapping[int, bool], asker: int) -> None:
        """`present`: who shares the file now, and whether all of it."""
        self._expected = {node: is_old for node, is_old in self._expected.items() if node not in present}
        if asker not in present:
            self._expected[asker] = False
        for gone in self._links.keys() - present.keys() - self._expected.keys():
            for other in self._links.pop(gone):
                self._links[other].discard(gone)
        complete = {node for node, is_complete in present.items() if is_complete}
        for node in complete - self._complete:
            for other in self.neighbours_of(node) & complete:
                self._unlink(node, other)
        self._complete = complete

    def join(self, node: int, others: Sequence[int], chance: "random.Random") -> None:
        """Links from `node` to some of `others`, where it has too few."""
        own = self._links.setdefault(node, set())
        if len(own) >= DEGREE and not own.isdisjoint(others):
            return
        able = [other for other in others if other not in own and not self._are_complete(node, other)]
        chance.shuffle(able)
        able.sort(key=self._degree_of)
        for other in able:
            if len(own) < DEGREE and self._degree_of(other) < DEGREE:
                self._link(node, other)
        self._go_between(node, able, chance)
        # Its places may all be kept for somebody who is expected. Only a complete peer can do without a neighbour.
        if able and own.isdisjoint(others) and (node not in self._complete or self._degree_of(able[0]) < DEGREE):
            self._link(node, able[0])

    def lose_patience(self) -> None:
        self._expected = {node: True for node, is_old in self._expected.items() if not is_old}

    def _go_between(self, node: int, able: Sequence[int], chance: "random.Random") -> None:
        """In place of a link between two others, one to each of them."""
        own, free = self._links[node], set(able)
        for one in able:
            if len(own) > DEGREE - 2:
                return
            linked = self._links.get(one, set()) & free - own if one not in own else set()
            if linked:
                other = chance.choice(sorted(linked))
                self._unlink(one, other)
                self._link(node, one)
                self._link(node, other)

    def _are_complete(self, one: int, other: int) -> bool:
        return one in self._complete and other in self._complete

    def _degree_of(self, node: int) -> int:
        return len(self._links.get(node, ()))

    def _link(self, one: int, other: int) -> None:
        self._links.setdefault(one, set()).add(other)
        self._links.setdefault(other, set()).add(one)

    def _unlink(self, one: int, other: int) -> None:
        self._links[one].discard(other)
        self._links[other].discard(one)
