"""Piece arithmetic at the edges: nothing, one byte, exact multiples and one byte to either side."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.geometry import (
    PIECE_BYTES_MAX,
    PIECE_BYTES_MIN,
    PIECE_COUNT_MAX,
    PIECES_AIMED_AT,
    BadGeometry,
    Geometry,
)
from tests.testkit.builders import bounded

PIECE = PIECE_BYTES_MIN


@pytest.mark.parametrize(
    ("size_bytes", "lengths"),
    [
        (0, []),
        (1, [1]),
        (PIECE - 1, [PIECE - 1]),
        (PIECE, [PIECE]),
        (PIECE + 1, [PIECE, 1]),
        (3 * PIECE - 1, [PIECE, PIECE, PIECE - 1]),
        (3 * PIECE, [PIECE, PIECE, PIECE]),
        (3 * PIECE + 1, [PIECE, PIECE, PIECE, 1]),
    ],
)
def test_only_the_last_piece_is_shorter_and_none_is_empty(size_bytes: int, lengths: list[int]) -> None:
    geometry = Geometry(size_bytes, PIECE)
    assert geometry.piece_count == len(lengths)
    assert [geometry.length_of(piece) for piece in range(geometry.piece_count)] == lengths


@given(size_bytes=st.integers(0, 2000 * PIECE))
@bounded(100)
def test_the_pieces_cover_the_file_without_gap_or_overlap(size_bytes: int) -> None:
    geometry = Geometry(size_bytes, PIECE)
    end = 0
    for piece in range(geometry.piece_count):
        assert geometry.offset_of(piece) == end
        assert 0 < geometry.length_of(piece) <= PIECE
        end += geometry.length_of(piece)
    assert end == size_bytes


@given(size_bytes=st.integers(0, PIECE_COUNT_MAX * PIECE_BYTES_MAX))
@bounded(200)
def test_the_chosen_piece_size_is_a_power_of_two_near_a_thousandth(size_bytes: int) -> None:
    geometry = Geometry.of_size(size_bytes)
    chosen = geometry.piece_bytes
    assert chosen.bit_count() == 1
    assert PIECE_BYTES_MIN <= chosen <= PIECE_BYTES_MAX
    if PIECE_BYTES_MIN < chosen < PIECE_BYTES_MAX:
        assert chosen / 2 < size_bytes / PIECES_AIMED_AT < chosen + 1


def test_small_files_have_the_smallest_pieces_and_huge_ones_the_largest() -> None:
    assert Geometry.of_size(0).piece_bytes == PIECE_BYTES_MIN
    assert Geometry.of_size(PIECE_BYTES_MIN * PIECES_AIMED_AT).piece_bytes == PIECE_BYTES_MIN
    assert Geometry.of_size((PIECE_BYTES_MIN + 1) * PIECES_AIMED_AT).piece_bytes == 2 * PIECE_BYTES_MIN
    assert Geometry.of_size(10**12 * 10).piece_bytes == PIECE_BYTES_MAX


@pytest.mark.parametrize("piece_bytes", [-PIECE, 0, 1, PIECE - 1, PIECE + 1, 3 * PIECE, 2 * PIECE_BYTES_MAX])
def test_piece_sizes_outside_the_bounds_are_refused(piece_bytes: int) -> None:
    with pytest.raises(BadGeometry):
        Geometry(10 * PIECE, piece_bytes)


def test_sizes_that_cannot_be_are_refused() -> None:
    Geometry(PIECE_COUNT_MAX * PIECE, PIECE)
    for size_bytes in (-1, PIECE_COUNT_MAX * PIECE + 1):
        with pytest.raises(BadGeometry):
            Geometry(size_bytes, PIECE)
    with pytest.raises(BadGeometry):
        Geometry.of_size(PIECE_COUNT_MAX * PIECE_BYTES_MAX + 1)


def test_only_pieces_of_the_file_pass_the_check() -> None:
    geometry = Geometry(3 * PIECE + 1, PIECE)
    assert [geometry.check_piece(piece) for piece in range(4)] == [0, 1, 2, 3]
    for piece in (-1, 4, 2**32):
        with pytest.raises(BadGeometry):
            geometry.check_piece(piece)
    with pytest.raises(BadGeometry):
        Geometry(0, PIECE).check_piece(0)
