"""A bitfield is a set of piece numbers, in exactly the bytes its piece count needs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.swarm.bitfield import BadBitfield, Bitfield, pack
from tests.testkit.builders import bitfield_of, bounded

flag_lists = st.lists(st.integers(0, 1), max_size=70)


@given(flags=flag_lists)
@bounded(200)
def test_what_was_packed_is_unpacked_again(flags: list[int]) -> None:
    packed = pack(np.array(flags, np.uint8))
    bitfield = Bitfield(len(flags), packed)
    assert bitfield.to_flags().tolist() == flags
    assert bitfield.packed.tobytes() == packed
    assert bitfield.count == sum(flags)
    assert bitfield.is_complete == all(flags)


def test_piece_zero_is_the_highest_bit_of_the_first_byte() -> None:
    assert Bitfield(9, b"\x80\x80").to_flags().tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 1]
    assert pack(np.array([0, 1, 0, 0, 0, 0, 0, 1, 1], np.uint8)) == b"\x41\x80"


@given(st.data())
@bounded(150)
def test_it_agrees_with_a_set(data: st.DataObject) -> None:
    piece_count = data.draw(st.integers(1, 70))
    numbers = st.integers(0, piece_count - 1)
    model = data.draw(st.sets(numbers))
    bitfield = Bitfield(piece_count, bitfield_of(piece_count, model).packed.tobytes())
    for piece in data.draw(st.lists(numbers, max_size=40)):
        assert bitfield.add(piece) == (piece not in model)
        model.add(piece)
        assert bitfield.count == len(model)
    assert [bitfield.has(piece) for piece in range(piece_count)] == [piece in model for piece in range(piece_count)]
    asked = data.draw(st.lists(numbers))
    assert bitfield.has_each(np.array(asked, np.int32)).tolist() == [piece in model for piece in asked]
    assert bitfield.is_complete == (len(model) == piece_count)


@pytest.mark.parametrize(("piece_count", "length"), [(0, 1), (1, 0), (8, 2), (9, 1), (9, 3), (16, 1)])
def test_a_wrong_length_is_refused(piece_count: int, length: int) -> None:
    with pytest.raises(BadBitfield):
        Bitfield(piece_count, bytes(length))


@pytest.mark.parametrize("piece_count", range(1, 17))
def test_bits_behind_the_last_piece_are_refused_each_of_them(piece_count: int) -> None:
    byte_count = (piece_count + 7) // 8
    for bit in range(byte_count * 8):
        packed = (1 << (byte_count * 8 - 1 - bit)).to_bytes(byte_count)
        if bit < piece_count:
            assert Bitfield(piece_count, packed).has(bit)
        else:
            with pytest.raises(BadBitfield):
                Bitfield(piece_count, packed)


def test_it_keeps_its_own_copy_of_the_bytes_it_was_made_from() -> None:
    received = bytearray(1)
    bitfield = Bitfield(8, bytes(received))
    bitfield.add(3)
    assert bitfield.has(3)
    assert received == bytearray(1)


def test_a_file_without_pieces_is_complete_at_once() -> None:
    assert Bitfield(0).is_complete
    assert Bitfield(0, b"").is_complete
    assert pack(Bitfield(0).to_flags()) == b""
