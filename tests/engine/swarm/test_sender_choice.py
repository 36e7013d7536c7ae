"""Which of the pieces it was asked for a server sends."""

from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.sender_choice import least_sent
from tests.builders import bounded

PIECES = 12
requests = st.lists(st.lists(st.integers(0, PIECES - 1), min_size=1, max_size=8, unique=True), max_size=60)


def test_the_first_named_of_those_sent_least_is_sent() -> None:
    assert least_sent((3, 1, 2), [1, 1, 1, 1], [0, 2, 2, 5]) == 1


def test_what_is_not_here_is_not_sent_however_seldom_it_was() -> None:
    assert least_sent((0, 1), [0, 1], [0, 9]) == 1
    assert least_sent((0,), [0, 1], [0, 9]) is None


@given(requests)
@bounded(100)
def test_no_piece_leaves_twice_while_one_asked_for_in_its_place_never_left(asked: list[list[int]]) -> None:
    sent = [0] * PIECES
    for candidates in asked:
        piece = least_sent(candidates, [1] * PIECES, sent)
        assert piece is not None
        assert not sent[piece] or all(sent[other] for other in candidates)
        sent[piece] += 1


@given(st.lists(st.permutations(range(PIECES)), min_size=1, max_size=5))
@bounded(50)
def test_who_is_asked_for_everything_sends_every_piece_once_before_any_twice(orders: list[list[int]]) -> None:
    sent = [0] * PIECES
    for order in orders:
        for _ in range(PIECES):
            piece = least_sent(order, [1] * PIECES, sent)
            assert piece is not None
            sent[piece] += 1
        assert len(set(sent)) == 1
