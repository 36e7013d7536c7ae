"""The order of pieces by availability, against a naive model, through every kind of change in any sequence."""

import random
from collections import Counter

import numpy as np
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from engine.swarm.availability import Availability
from engine.swarm.bitfield import Bitfield
from tests.testkit.builders import bitfield_of, count_of, stepped

chance = st.floats(0, 1, exclude_max=True)


class AvailabilityAgainstModel(RuleBasedStateMachine):
    """The model: one plain set of pieces per peer, and the set of retired pieces."""

    @initialize(piece_count=st.sampled_from([1, 2, 7, 200, 700]), seed=st.integers(0, 2**32))
    def begin(self, piece_count: int, seed: int) -> None:
        self.piece_count = piece_count
        self.rng = random.Random(seed)
        self.availability = Availability(piece_count, self.rng)
        self.peers: list[Bitfield] = []
        self.retired: set[int] = set()

    @rule(share=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
    def a_peer_comes(self, share: float) -> None:
        pieces = [piece for piece in range(self.piece_count) if self.rng.random() < share]
        peer = bitfield_of(self.piece_count, pieces)
        self.availability.add_peer(peer)
        self.peers.append(peer)

    @precondition(lambda self: self.peers)
    @rule()
    def a_peer_goes(self) -> None:
        peer = self.peers.pop(self.rng.randrange(len(self.peers)))
        self.availability.lose_peer(peer)

    @precondition(lambda self: self.peers)
    @rule(share=chance)
    def a_peer_gains_pieces(self, share: float) -> None:
        peer = self.rng.choice(self.peers)
        missing = [piece for piece in range(self.piece_count) if not peer.has(piece)]
        self.rng.shuffle(missing)
        for piece in missing[: 1 + int(share * len(missing))]:
            peer.add(piece)
            self.availability.add_have(piece)
            if peer.is_complete:
                self.availability.completed_peer(peer)

    @rule(share=chance)
    def pieces_are_retired(self, share: float) -> None:
        wanted = [piece for piece in range(self.piece_count) if piece not in self.retired]
        self.rng.shuffle(wanted)
        for piece in wanted[: int(share * len(wanted)) + 1]:
            self.availability.retire(piece)
            self.retired.add(piece)

    @rule()
    def many_are_retired_at_once(self) -> None:
        pieces = [piece for piece in range(self.piece_count) if self.rng.random() < 0.2]
        self.availability.retire_all(np.array(pieces, np.int64))
        self.retired.update(pieces)

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        model = Counter(piece for peer in self.peers for piece in np.flatnonzero(peer.to_flags()).tolist())
        counts = [count_of(self.availability, piece) for piece in range(self.piece_count)]
        assert counts == [model[piece] for piece in range(self.piece_count)]

    @invariant()
    def the_order_rises_and_holds_every_wanted_piece_once(self) -> None:
        order = self.availability.order.tolist()
        counts = [count_of(self.availability, piece) for piece in order if piece not in self.retired]
        assert counts == sorted(counts)
        assert len(order) == len(set(order))
        left_over = set(order) & self.retired
        assert set(order) - left_over == set(range(self.piece_count)) - self.retired
        assert len(left_over) <= 64 + len(order) // 256 + 1


TestAvailability = AvailabilityAgainstModel.TestCase
TestAvailability.settings = stepped(40, 25)


def test_ties_are_in_random_order_that_the_generator_alone_decides() -> None:
    orders = [Availability(100, random.Random(seed)).order.tolist() for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


def test_a_have_costs_no_rebuild_and_moves_one_border_only() -> None:
    availability = Availability(1000, random.Random(5))
    order = availability.order
    before = order.tolist()
    availability.add_have(before[400])
    assert np.shares_memory(availability.order, order)
    assert availability.order.tolist()[-1] == before[400]
    assert sum(old != new for old, new in zip(before, availability.order.tolist(), strict=True)) == 2
