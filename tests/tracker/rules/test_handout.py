import random
from collections import Counter
from collections.abc import Iterable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tracker.rules.handout import DEGREE, Handed, Handout
from tracker.rules.peer_reports import Asker
from tracker.rules.presence import Sharer
from tracker.settings import NEIGHBOURS_PER_ACCOUNT_MAX, PEER_REPORT_LIFE_S

FILE = ("lab", bytes(32))
WANT = 20
"""Peers that a client asks for."""


class Swarm:
    """A tracker's view of one file: who shares it, and the handout under test."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.handout = Handout()
        self.complete: dict[int, bool] = {}
        self.account: dict[int, str] = {}
        self.last = 0
        self.port: dict[int, int] = {}
        self.now_s = 0.0

    def sharers(self) -> list[Sharer]:
        return [
            Sharer(one, self.account_of(one), key_of(one), "192.0.2.1", self.port.get(one, one), is_complete)
            for one, is_complete in self.complete.items()
        ]

    def account_of(self, session: int) -> str:
        return self.account.get(session, f"user{session}")

    def ask(self, session: int) -> Handed:
        asker = Asker(session, self.account_of(session))
        return self.handout.choose(FILE, asker, self.sharers(), WANT, self.chance, self.now_s)

    def report(self, session: int, failed: Iterable[int] = (), served: Iterable[int] = ()) -> None:
        asker = Asker(session, self.account_of(session))
        keys = [key_of(each) for each in failed], [key_of(each) for each in served]
        self.handout.report(FILE, asker, *keys, self.sharers(), self.now_s)

    def join(self, user_id: str | None = None, *, is_complete: bool = False) -> Handed:
        """Somebody comes as a client does: it asks, then it shares, and is introduced."""
        self.last += 1
        if user_id is not None:
            self.account[self.last] = user_id
        self.ask(self.last)
        self.complete[self.last] = is_complete
        return self.ask(self.last)

    def neighbours(self) -> dict[int, set[int]]:
        """As the tracker has them, without changing them."""
        links = self.handout._graphs[FILE]._links
        return {session: links.get(session, set()) & self.complete.keys() for session in self.complete}


def key_of(session: int) -> bytes:
    return session.to_bytes(4, "big")


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
        swarm.handout.sweep(lambda _: True, swarm.now_s)
    swarm.ask(1)
    assert swarm.handout._graphs[FILE].neighbours_of(1) == set()


def test_files_nobody_shares_are_forgotten() -> None:
    swarm = Swarm(8)
    swarm.join()
    swarm.handout.sweep(lambda _: False, swarm.now_s)
    assert swarm.handout._graphs == {}


@pytest.mark.parametrize(
    ("sessions", "accounts", "seeds"), [(1, 1, 5), (30, 1, 5), (128, 1, 5), (1, 5, 5), (30, 5, 5), (128, 5, 1)]
)
def test_the_only_session_of_an_account_is_named_beside_any_number_of_anothers(
    sessions: int, accounts: int, seeds: int
) -> None:
    for seed in range(seeds):
        swarm = Swarm(seed)
        for number in range(accounts * sessions):
            swarm.join(f"crowd{number % accounts}", is_complete=True)
        swarm.join("honest", is_complete=True)
        honest = swarm.last
        assert honest in numbers(swarm.join().peers)


def test_who_came_before_an_honest_sharer_makes_room_for_it() -> None:
    swarm = Swarm(10)
    for _ in range(30):
        swarm.join("crowd", is_complete=True)
    swarm.join()
    leecher = swarm.last
    assert len(swarm.ask(leecher).peers) == DEGREE
    swarm.join("honest", is_complete=True)
    assert swarm.last in numbers(swarm.ask(leecher).peers)
    assert len(swarm.ask(leecher).peers) == DEGREE


def test_many_leechers_of_one_account_take_no_place_from_the_others() -> None:
    swarm = Swarm(11)
    swarm.join(is_complete=True)
    for _ in range(DEGREE):
        swarm.join()
    honest = set(swarm.complete)
    for _ in range(128):
        swarm.join("crowd")
    links = swarm.neighbours()
    for session in honest:
        assert sum(swarm.account_of(other) == "crowd" for other in links[session]) <= NEIGHBOURS_PER_ACCOUNT_MAX
    assert len(reached({session: links[session] & honest for session in honest}, 1)) == len(honest)
    newcomer = numbers(swarm.join().peers)
    assert len(newcomer & honest) >= DEGREE - NEIGHBOURS_PER_ACCOUNT_MAX - 1, "one is left over: they come in pairs"


def test_a_swarm_of_one_account_alone_is_as_regular_as_any() -> None:
    swarm = Swarm(12)
    for _ in range(60):
        swarm.join("lab")
    for session in swarm.complete:
        swarm.ask(session)
    links = swarm.neighbours()
    assert DEGREE - 1 <= degrees(links)[0] <= degrees(links)[-1] <= DEGREE + 1
    assert len(reached(links, 1)) == 60


def test_the_sessions_of_an_account_that_are_named_first_are_at_different_places() -> None:
    swarm = Swarm(13)
    for _ in range(20):
        swarm.join("crowd", is_complete=True)
    for session in range(1, DEGREE + 5):
        swarm.port[session] = 7
    for session in range(DEGREE):
        swarm.join(f"other{session}", is_complete=True)
    named = [peer for peer in swarm.join().peers if peer.user_id == "crowd"]
    assert len({(peer.host, peer.port) for peer in named}) == len(named)


def test_a_peer_that_gave_nothing_is_put_aside_while_there_are_others() -> None:
    swarm = Swarm(14)
    for _ in range(3):
        swarm.join(is_complete=True)
    asker = 4
    assert numbers(swarm.join().peers) == {1, 2, 3}
    swarm.report(asker, failed=[1, 2])
    assert numbers(swarm.ask(asker).peers) == {3}
    swarm.report(asker, failed=[3])
    assert numbers(swarm.ask(asker).peers) == {1, 2, 3}, "it is all there is"
    swarm.report(asker, served=[2])
    assert numbers(swarm.ask(asker).peers) == {2}
    swarm.now_s += PEER_REPORT_LIFE_S
    assert numbers(swarm.ask(asker).peers) == {1, 2, 3}


def test_the_next_answer_names_others_until_all_were_tried() -> None:
    """More accounts than there are places, none of which serves but one."""
    swarm = Swarm(15)
    for number in range(5 * DEGREE):
        for _ in range(3):
            swarm.join(f"crowd{number}", is_complete=True)
    swarm.join("honest", is_complete=True)
    honest = swarm.last
    swarm.join()
    asker = swarm.last
    for _ in range(6):
        named = numbers(swarm.ask(asker).peers)
        if honest in named:
            return
        swarm.report(asker, failed=named)
    pytest.fail("the honest sharer was never named")


def test_whoever_says_that_others_fail_cannot_vote_them_off() -> None:
    swarm = Swarm(16)
    swarm.join("honest", is_complete=True)
    for _ in range(128):
        swarm.join("crowd")
    for session in range(2, 130):
        swarm.report(session, failed=[1])
    assert 1 in numbers(swarm.join().peers)


def test_of_two_accounts_the_one_that_others_doubt_comes_later() -> None:
    named: Counter[int] = Counter()
    for seed in range(30):
        swarm = Swarm(seed)
        for _ in range(DEGREE + 5):
            swarm.join(is_complete=True)
        for number in range(2):
            swarm.complete[100 + number] = False
            swarm.report(100 + number, failed=[1])
        swarm.last = 200
        named.update(numbers(swarm.join().peers))
    assert named[1] == 0
    assert min(named[each] for each in range(2, DEGREE + 6)) > 10


class HandoutMachine(RuleBasedStateMachine):
    """Whoever comes, goes, completes and asks, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.swarm = Swarm(0)

    @rule(is_complete=st.booleans(), count=st.integers(1, 15), user_id=st.sampled_from([None, "ann", "bob"]))
    def come(self, is_complete: bool, count: int, user_id: str | None) -> None:
        for _ in range(count):
            self.swarm.join(user_id, is_complete=is_complete)

    @precondition(lambda self: self.swarm.complete)
    @rule(data=st.data(), is_failure=st.booleans())
    def report(self, data: st.DataObject, is_failure: bool) -> None:
        present = st.sampled_from(list(self.swarm.complete))
        about = data.draw(st.lists(present, max_size=5))
        self.swarm.report(data.draw(present), *([about, []] if is_failure else [[], about]))

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
        self.swarm.now_s += 25.0
        self.swarm.handout.sweep(lambda _: bool(self.swarm.complete), self.swarm.now_s)

    @invariant()
    def links_are_mutual_and_places_bounded(self) -> None:
        for graph in self.swarm.handout._graphs.values():
            for session, others in graph._links.items():
                assert session not in others
                assert all(session in graph._links[other] for other in others)
                assert len(others & self.swarm.complete.keys()) <= DEGREE + 1


TestHandoutMachine = HandoutMachine.TestCase
TestHandoutMachine.settings = settings(max_examples=40, stateful_step_count=25)
