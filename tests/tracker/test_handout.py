import random
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tracker.handout import DEGREE, Handed, Handout
from tracker.presence import Sharer

FILE = ("lab", bytes(32))
WANT = 20
"""Peers that a client asks for."""


class Swarm:
    """A tracker's view of one file: who shares it, and the handout under test."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.handout = Handout()
        self.complete: dict[int, bool] = {}
        self.last = 0

    def sharers(self) -> list[Sharer]:
        return [
            Sharer(session, f"user{session}", session.to_bytes(4, "big"), "192.0.2.1", 1, is_complete)
            for session, is_complete in self.complete.items()
        ]

    def ask(self, session: int) -> Handed:
        return self.handout.choose(FILE, session, self.sharers(), WANT, self.chance)

    def join(self, *, is_complete: bool = False) -> Handed:
        """Somebody comes as a client does: it asks, then it shares, and is introduced."""
        self.last += 1
        self.ask(self.last)
        self.complete[self.last] = is_complete
        return self.ask(self.last)

    def neighbours(self) -> dict[int, set[int]]:
        """As the tracker has them, without changing them."""
        links = self.handout._graphs[FILE]._links
        return {session: links.get(session, set()) & self.complete.keys() for session in self.complete}


def reached(links: dict[int, set[int]], first: int) -> set[int]:
    seen, todo = {first}, [first]
    while todo:
        for other in links[todo.pop()] - seen:
            seen.add(other)
            todo.append(other)
    return seen


def degrees(links: dict[int, set[int]]) -> list[int]:
    return sorted(map(len, links.values()))


def numbers(peers: Iterable[Sharer]) -> set[int]:
    return {peer.session for peer in peers}


@pytest.mark.parametrize("seed", range(3))
def test_one_after_the_other_they_form_a_regular_connected_graph(seed: int) -> None:
    swarm = Swarm(seed)
    swarm.join(is_complete=True)
    for _ in range(99):
        swarm.join()
    links = swarm.neighbours()
    assert degrees(links)[0] >= DEGREE - 1
    assert degrees(links)[-1] <= DEGREE + 1
    assert len(reached(links, 1)) == 100


def test_those_who_begin_at_the_same_moment_hear_of_each_other() -> None:
    """All ask before any of them shares; the introductions make up for it."""
    swarm = Swarm(5)
    swarm.join(is_complete=True)
    crowd = range(2, 10)
    for session in crowd:
        swarm.ask(session)
    for session in crowd:
        swarm.complete[session] = False
        swarm.ask(session)
    assert degrees(swarm.neighbours()) == [8] * 9


def test_a_newcomer_finds_its_places_where_all_are_taken() -> None:
    swarm = Swarm(1)
    for _ in range(DEGREE + 1):
        swarm.join()
    assert degrees(swarm.neighbours()) == [DEGREE] * (DEGREE + 1)
    assert len(swarm.join().peers) == DEGREE
    assert degrees(swarm.neighbours()) == [DEGREE] * (DEGREE + 2)


def test_who_leaves_takes_its_links_along_and_its_neighbours_get_others() -> None:
    swarm = Swarm(2)
    for _ in range(60):
        swarm.join()
    for session in range(1, 31):
        del swarm.complete[session]
    for session in swarm.complete:
        assert len(swarm.ask(session).peers) >= DEGREE - 1
    links = swarm.neighbours()
    assert degrees(links)[-1] <= DEGREE + 1
    assert len(reached(links, 31)) == 30


def test_a_swarm_that_grew_large_has_no_more_links_each() -> None:
    swarm = Swarm(3)
    for _ in range(300):
        swarm.join()
    for session in swarm.complete:
        swarm.ask(session)
    links = degrees(swarm.neighbours())
    assert DEGREE - 1 <= links[0] <= links[-1] <= DEGREE + 1


def test_two_complete_peers_are_not_linked_and_not_any_more_once_both_are_complete() -> None:
    swarm = Swarm(4)
    swarm.join(is_complete=True)
    assert swarm.join(is_complete=True).peers == []
    assert numbers(swarm.join().peers) == {1, 2}
    swarm.complete[3] = True
    assert swarm.ask(3).peers == []
    assert swarm.neighbours() == {1: set(), 2: set(), 3: set()}


def test_complete_peers_take_no_place_of_a_leecher_that_has_enough() -> None:
    swarm = Swarm(9)
    swarm.join()
    for _ in range(3 * DEGREE):
        swarm.join(is_complete=True)
    assert len(swarm.neighbours()[1]) == DEGREE
    swarm.join()
    assert len(swarm.neighbours()[swarm.last]) == DEGREE


def test_the_new_neighbours_are_told_from_those_it_had() -> None:
    swarm = Swarm(6)
    swarm.join()
    assert numbers(swarm.join().peers) == {1}
    swarm.complete[3] = False
    assert numbers(swarm.ask(2).new) == {3}
    assert swarm.ask(2).new == []


def test_who_asked_and_then_shares_nothing_keeps_no_place() -> None:
    swarm = Swarm(7)
    swarm.join()
    swarm.ask(9)
    assert swarm.handout._graphs[FILE].neighbours_of(1) == {9}
    for _ in range(2):
        swarm.handout.sweep(lambda _: True)
    swarm.ask(1)
    assert swarm.handout._graphs[FILE].neighbours_of(1) == set()


def test_files_nobody_shares_are_forgotten() -> None:
    swarm = Swarm(8)
    swarm.join()
    swarm.handout.sweep(lambda _: False)
    assert swarm.handout._graphs == {}


class HandoutMachine(RuleBasedStateMachine):
    """Whoever comes, goes, completes and asks, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.swarm = Swarm(0)

    @rule(is_complete=st.booleans(), count=st.integers(1, 15))
    def come(self, is_complete: bool, count: int) -> None:
        for _ in range(count):
            self.swarm.join(is_complete=is_complete)

    @rule()
    def ask_and_go(self) -> None:
        self.swarm.last += 1
        self.swarm.ask(self.swarm.last)

    @precondition(lambda self: self.swarm.complete)
    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        del self.swarm.complete[data.draw(st.sampled_from(list(self.swarm.complete)))]

    @precondition(lambda self: self.swarm.complete)
    @rule(data=st.data())
    def complete(self, data: st.DataObject) -> None:
        self.swarm.complete[data.draw(st.sampled_from(list(self.swarm.complete)))] = True

    @precondition(lambda self: self.swarm.complete)
    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        swarm = self.swarm
        session = data.draw(st.sampled_from(list(swarm.complete)))
        handed = swarm.ask(session)
        peers = numbers(handed.peers)
        assert session not in peers
        assert peers <= swarm.complete.keys()
        assert len(peers) == len(handed.peers) <= WANT
        assert not (swarm.complete[session] and any(swarm.complete[peer] for peer in peers))
        could = [each for each in swarm.complete if each != session]
        if swarm.complete[session]:
            could = [each for each in could if not swarm.complete[each]]
        graph = self.swarm.handout._graphs[FILE]
        are_full = swarm.complete[session] and all(len(graph.neighbours_of(each)) >= DEGREE for each in could)
        assert peers or not could or are_full
        # Once somebody asked, nobody who left or is as complete as its neighbour is left in the graph.
        links = swarm.neighbours()
        assert all(swarm.complete[a] + swarm.complete[b] < 2 for a in links for b in links[a])

    @rule()
    def time_passes(self) -> None:
        self.swarm.handout.sweep(lambda _: bool(self.swarm.complete))

    @invariant()
    def links_are_mutual_and_places_bounded(self) -> None:
        for graph in self.swarm.handout._graphs.values():
            for session, others in graph._links.items():
                assert session not in others
                assert all(session in graph._links[other] for other in others)
                assert len(others & self.swarm.complete.keys()) <= DEGREE + 1


TestHandoutMachine = HandoutMachine.TestCase
TestHandoutMachine.settings = settings(max_examples=40, stateful_step_count=25)
