"""Only free pieces are offered, the rarest first; a piece is free, reserved or had."""

import random
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.swarm.availability import Availability
from engine.swarm.bitfield import Bitfield
from engine.swarm.picker import Picker
from tests.testkit.builders import bitfield_of, count_of, stepped


def picker_with(piece_count: int, peers: Iterable[Iterable[int]], had: Iterable[int] = ()) -> Picker:
    availability = Availability(piece_count, random.Random(1))
    have = np.zeros(piece_count, np.uint8)
    have[list(had)] = 1
    picker = Picker(availability, have)
    for pieces in peers:
        availability.add_peer(bitfield_of(piece_count, pieces))
    return picker


def everything(piece_count: int) -> Bitfield:
    return bitfield_of(piece_count, range(piece_count))


def test_rarest_piece_is_offered_first() -> None:
    picker = picker_with(5, [[0, 1, 2, 3, 4], [0, 1, 2, 4], [0, 1, 4], [0, 4], [4]])
    assert picker.rarest(everything(5), 5) == [3, 2, 1, 0, 4]
    assert picker.rarest(everything(5), 2) == [3, 2]


def test_only_pieces_the_peer_has_are_offered() -> None:
    picker = picker_with(2000, [range(2000), range(1000)])
    assert picker.rarest(bitfield_of(2000, [7, 1999]), 5) == [1999, 7]
    assert picker.rarest(bitfield_of(2000, []), 5) == []


def test_a_lone_free_piece_is_found_at_the_common_end_of_a_long_order() -> None:
    picker = picker_with(5000, [range(5000), [4321]], had=[piece for piece in range(5000) if piece not in (17, 4321)])
    assert picker.free_count == 2
    assert picker.rarest(everything(5000), 8) == [17, 4321]


def test_no_more_than_asked_for_are_offered() -> None:
    picker = picker_with(3000, [range(3000)])
    assert [len(picker.rarest(everything(3000), count)) for count in (1, 8, 300, 5000)] == [1, 8, 300, 3000]


def test_reserved_pieces_are_not_offered_until_released() -> None:
    picker = picker_with(3, [[0, 1, 2], [1, 2], [2]])
    picker.reserve(0)
    assert not picker.is_free(0)
    assert picker.rarest(everything(3), 3) == [1, 2]
    picker.release(0)
    assert picker.rarest(everything(3), 3) == [0, 1, 2]


def test_reserving_twice_or_releasing_a_free_piece_is_a_bug_and_said_so() -> None:
    picker = picker_with(2, [], had=[1])
    picker.reserve(0)
    for piece in (0, 1):
        with pytest.raises(ValueError, match="not free"):
            picker.reserve(piece)
    picker.release(0)
    with pytest.raises(ValueError, match="free already"):
        picker.release(0)


def test_the_callers_have_is_not_kept() -> None:
    have = np.zeros(2, np.uint8)
    picker = Picker(Availability(2, random.Random(1)), have)
    have[0] = 1
    assert picker.is_free(0)


class PickerAgainstModel(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32), piece_count=st.sampled_from([1, 30, 600]))
    def begin(self, seed: int, piece_count: int) -> None:
        self.rng = random.Random(seed)
        self.availability = Availability(piece_count, self.rng)
        had = {piece for piece in range(piece_count) if self.rng.random() < 0.2}
        have = np.array([piece in had for piece in range(piece_count)], np.uint8)
        self.picker = Picker(self.availability, have)
        self.free = set(range(piece_count)) - had
        self.reserved: set[int] = set()
        self.piece_count = piece_count

    @rule()
    def a_peer_comes(self) -> None:
        pieces = [piece for piece in range(self.piece_count) if self.rng.random() < 0.5]
        self.availability.add_peer(bitfield_of(self.piece_count, pieces))

    @rule(count=st.integers(1, 20))
    def some_are_reserved(self, count: int) -> None:
        pieces = bitfield_of(self.piece_count, [p for p in range(self.piece_count) if self.rng.random() < 0.7])
        offered = self.picker.rarest(pieces, count)
        ranked = sorted(count_of(self.availability, p) for p in self.free if pieces.has(p))
        assert [count_of(self.availability, piece) for piece in offered] == ranked[:count]
        for piece in offered:
            self.picker.reserve(piece)
            self.free.remove(piece)
            self.reserved.add(piece)

    @rule(is_verified=st.booleans())
    def one_is_ended(self, is_verified: bool) -> None:
        if self.reserved:
            piece = self.reserved.pop()
            if is_verified:
                self.picker.retire(piece)
            else:
                self.picker.release(piece)
                self.free.add(piece)

    @invariant()
    def free_is_what_the_model_says(self) -> None:
        assert {piece for piece in range(self.piece_count) if self.picker.is_free(piece)} == self.free
        assert self.picker.free_count == len(self.free)


TestPicker = PickerAgainstModel.TestCase
TestPicker.settings = stepped(25, 25)
