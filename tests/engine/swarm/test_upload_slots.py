"""Upload slots against a model: never more than there are, one a link, accounts share them fairly, first come first
served, also over several workers that see nothing of each other but the board."""

import itertools
import math
import random

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.swarm.upload_slots import SlotBoard, UploadSlots
from tests.testkit.builders import bounded, stepped

links = st.integers(1, 9)


def want_each(slots: UploadSlots[str], links: str, account: str | None = None) -> list[str]:
    """Each link in turn, of an account of its own or of one; those that may start."""
    return [started for now_s, link in enumerate(links, 1) for started in slots.want(link, account or link, now_s)]


def test_a_slot_goes_to_who_waits_longest() -> None:
    slots: UploadSlots[str] = UploadSlots(2)
    assert want_each(slots, "abcd") == ["a", "b"]
    assert slots.release("b", 50.0) == ["c"]
    assert slots.release("a", 50.0) == ["d"]
    assert slots.release("c", 50.0) == []
    assert slots.want("e", "e", 9.0) == ["e"]


def test_a_link_that_holds_a_slot_gets_no_second_one() -> None:
    slots: UploadSlots[str] = UploadSlots(2)
    assert want_each(slots, "aab") == ["a", "b"]
    assert slots.release("a", 50.0) == []


def test_a_link_that_is_gone_loses_its_place_in_the_queue() -> None:
    slots: UploadSlots[str] = UploadSlots(1)
    assert want_each(slots, "abc") == ["a"]
    assert slots.release("b", 50.0) == []
    assert slots.release("a", 50.0) == ["c"]


def test_ten_connections_get_no_more_than_one() -> None:
    """Each link wants its next piece at once; after a while both accounts had the same number."""
    slots: UploadSlots[str] = UploadSlots(4)
    greedy, modest = [f"g{number}" for number in range(10)], ["m"]
    sending: list[str] = []
    for link in greedy:
        sending += slots.want(link, "greedy", 0.0)
    sending += slots.want("m", "modest", 0.0)
    sent: dict[str, int] = {"g": 0, "m": 0}
    one_at_a_time: UploadSlots[str] = UploadSlots(1)
    running = one_at_a_time.want("g0", "greedy", 0.0)
    for link in [*greedy[1:], *modest]:
        running += one_at_a_time.want(link, link[0] + "account", 0.0)
    for now_s in range(1, 101):
        link = running.pop()
        sent[link[0]] += 1
        running += one_at_a_time.release(link, float(now_s))
        running += one_at_a_time.want(link, link[0] + "account", float(now_s))
    assert abs(sent["g"] - sent["m"]) <= 10
    assert "m" not in sending  # four pieces of the greedy one were on their way when it came …
    assert slots.release(sending[0], 50.0) == ["m"]  # … and the first slot that became free was its own


@given(slot_count=st.integers(1, 4), owners=st.lists(st.integers(0, 3), min_size=1, max_size=12), rng=st.randoms())
@bounded(25)
def test_nobody_starves_however_many_links_others_have(slot_count: int, owners: list[int], rng: random.Random) -> None:
    """Whoever was sent a piece wants the next at once; pieces end in any order."""
    slots: UploadSlots[int] = UploadSlots(slot_count)
    running = [started for link, owner in enumerate(owners) for started in slots.want(link, f"{owner}", 0.0)]
    waits_since = dict.fromkeys(range(len(owners)), 0)
    for turn in range(1, 200):
        link = running.pop(rng.randrange(len(running)))
        waits_since[link] = turn
        started = slots.release(link, float(turn)) + slots.want(link, f"{owners[link]}", float(turn))
        running += started
        for waiting in set(waits_since) - set(running):
            assert turn - waits_since[waiting] <= (slot_count + len(set(owners))) * len(owners)


def test_an_account_of_many_links_leaves_others_their_share_though_they_use_less() -> None:
    """Three others have one link each: of eight slots the crowd gets two, not the five that nobody else can take."""
    slots: UploadSlots[str] = UploadSlots(8)
    started = want_each(slots, "xyz") + want_each(slots, "abcdefghij", "crowd")
    assert started == ["x", "y", "z", "a", "b"]
    assert slots.release("x", 50.0) == ["c"]  # three accounts now: the crowd's share is three


def test_an_account_alone_may_use_every_slot() -> None:
    slots: UploadSlots[str] = UploadSlots(3)
    assert want_each(slots, "abcde", "ann") == ["a", "b", "c"]


def test_a_slot_is_left_to_a_worker_whose_account_has_none() -> None:
    board = SlotBoard(2)
    one: UploadSlots[str] = UploadSlots(2, board, 0)
    other: UploadSlots[str] = UploadSlots(2, board, 1)
    assert want_each(one, "abc", "greedy") == ["a", "b"]
    assert other.want("m", "modest", 5.0) == []
    assert one.release("a", 50.0) == []  # c waits longer, but its account has a slot
    assert other.due(60.0) == ["m"]
    assert other.release("m", 50.0) == []
    assert one.due(60.0) == ["c"]


def test_the_slots_of_a_worker_that_died_are_free_again() -> None:
    board = SlotBoard(2)
    dead: UploadSlots[str] = UploadSlots(2, board, 0)
    living: UploadSlots[str] = UploadSlots(2, board, 1)
    assert want_each(dead, "abc") == ["a", "b"]
    assert living.want("m", "modest", 1.0) == []
    board.clear(0)
    assert living.due(60.0) == ["m"]


def test_whoever_begins_to_wait_is_looked_after() -> None:
    waits: list[bool] = []
    slots: UploadSlots[str] = UploadSlots(1, on_wait=lambda: waits.append(True))
    slots.want("a", "a", 1.0)
    assert not waits
    slots.want("b", "b", 2.0)
    assert waits
    assert slots.is_waiting


class SlotsAgainstModel(RuleBasedStateMachine):
    """Three workers, accounts by link number modulo 4. The model sees only answers, and who asked when."""

    @initialize(slot_count=st.integers(1, 4))
    def begin(self, slot_count: int) -> None:
        self.slot_count, board = slot_count, SlotBoard(3)
        self.workers: list[UploadSlots[int]] = [UploadSlots(slot_count, board, row) for row in range(3)]
        self.holders: set[int] = set()
        self.waiting: dict[int, float] = {}
        self.clock = itertools.count(1)

    def started(self, links: list[int]) -> None:
        for link in links:
            assert link in self.waiting, "started without having asked"
            since_s = self.waiting.pop(link)
            held = [holder % 4 for holder in self.holders]
            assert not self.has_its_share(link, [link, *self.waiting]), "more than its share while others are there"
            for other, other_since_s in self.waiting.items():
                assert held.count(other % 4) >= held.count(link % 4), "an account with fewer slots was passed over"
                if (other % 4, other % 3) == (link % 4, link % 3):
                    assert since_s <= other_since_s, "a link that waits longer was passed over"
            self.holders.add(link)

    def has_its_share(self, link: int, waiting: list[int]) -> bool:
        accounts = {each % 4 for each in [*self.holders, *waiting]}
        held = sum(holder % 4 == link % 4 for holder in self.holders)
        return held > 0 and held >= math.ceil(self.slot_count / len(accounts))

    @rule(link=links)
    def wants(self, link: int) -> None:
        if link not in self.holders:
            self.waiting.setdefault(link, float(next(self.clock)))
        self.started(self.workers[link % 3].want(link, str(link % 4), float(next(self.clock)) - 1))

    @rule(link=links)
    def releases(self, link: int) -> None:
        self.holders.discard(link)
        self.waiting.pop(link, None)
        self.started(self.workers[link % 3].release(link, float(next(self.clock))))

    @rule()
    def all_look(self) -> None:
        for _ in range(3):
            for worker in self.workers:
                self.started(worker.due(float(next(self.clock))))
        if len(self.holders) < self.slot_count:
            waiting = list(self.waiting)
            assert all(self.has_its_share(link, waiting) for link in waiting), "somebody waits beside a free slot"

    @invariant()
    def never_too_many(self) -> None:
        assert len(self.holders) <= self.slot_count


TestUploadSlots = SlotsAgainstModel.TestCase
TestUploadSlots.settings = stepped(60, 40)
