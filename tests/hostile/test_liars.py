"""A seeder that lies, breaks the protocol or stalls is left, blamed where it is at fault, and never believed."""

import os
import time

import pytest

from engine.wire.codec import HEADER
from engine.wire.messages import REREADING, Closed, Have, Mismatch, Open, Opened, PieceHeader, Reject, Request
from tests.hostile.arena import Arena, ServingEnd, lied_to

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("hostile liars")]

PIECE = 256 << 10
ALL = b"\xff" * 4
"""The bitfield of 32 pieces."""
_PIECE_TYPE = 20


def open_honestly(end: ServingEnd) -> int:
    channel = end.until_asked_to_open()
    end.send(Opened(channel, ALL))
    return channel


def next_request(end: ServingEnd) -> Request:
    while not isinstance(message := end.receive(), Request):
        pass
    end.was_asked.set()
    return message


def wrong_bytes(end: ServingEnd) -> None:
    open_honestly(end)
    while True:
        request = next_request(end)
        end.send(PieceHeader(request.request_id, request.candidates[0], 0, PIECE))
        end.send_bytes(os.urandom(PIECE))


def another_piece(end: ServingEnd) -> None:
    open_honestly(end)
    request = next_request(end)
    other = next(piece for piece in range(32) if piece not in request.candidates)
    end.send(PieceHeader(request.request_id, other, 0, PIECE))
    end.send_bytes(bytes(PIECE))


def more_than_a_piece(end: ServingEnd) -> None:
    """Sends for ever, each slice behind the one before."""
    open_honestly(end)
    request = next_request(end)
    for number in range(1 << 20):
        end.send(PieceHeader(request.request_id, request.candidates[0], number << 16, 1 << 16))
        end.send_bytes(bytes(1 << 16))


def pieces_nobody_asked_for(end: ServingEnd) -> None:
    open_honestly(end)
    request = next_request(end)
    end.send(PieceHeader(request.request_id + 1000, request.candidates[0], 0, PIECE))
    end.send_bytes(bytes(PIECE))


def slices_out_of_order(end: ServingEnd) -> None:
    open_honestly(end)
    request = next_request(end)
    end.send(PieceHeader(request.request_id, request.candidates[0], PIECE // 2, PIECE // 2))
    end.send_bytes(bytes(PIECE // 2))


def serve_honestly(end: ServingEnd, request: Request) -> None:
    piece = request.candidates[0]
    end.send(PieceHeader(request.request_id, piece, 0, PIECE))
    end.send_bytes(end.file.read_bytes()[piece * PIECE : (piece + 1) * PIECE])


def two_pieces_interleaved(end: ServingEnd) -> None:
    """Whoever has brought nothing yet is asked for one piece only."""
    open_honestly(end)
    serve_honestly(end, next_request(end))
    first, second = next_request(end), next_request(end)
    for request in (first, second, first, second):
        end.send(PieceHeader(request.request_id, request.candidates[0], 0, PIECE // 2))
        end.send_bytes(bytes(PIECE // 2))


def a_slice_of_four_gigabytes(end: ServingEnd) -> None:
    open_honestly(end)
    next_request(end)
    end.send_bytes(HEADER.pack(_PIECE_TYPE, 0, 0, 2**32 - 1))


def a_bitfield_too_short(end: ServingEnd) -> None:
    channel = end.until_asked_to_open()
    end.was_asked.set()
    end.send(Opened(channel, ALL[1:]))


def a_bitfield_too_long(end: ServingEnd) -> None:
    channel = end.until_asked_to_open()
    end.was_asked.set()
    end.send(Opened(channel, bytes(1 << 16)))


def a_have_out_of_range(end: ServingEnd) -> None:
    channel = open_honestly(end)
    end.was_asked.set()
    end.send(Have(channel, (2**32 - 1,)))


def a_channel_that_is_not_open(end: ServingEnd) -> None:
    channel = open_honestly(end)
    end.was_asked.set()
    end.send(Closed(channel + 77, "closed", "\x1b[2J"))


def opened_twice(end: ServingEnd) -> None:
    channel = open_honestly(end)
    end.was_asked.set()
    end.send(Opened(channel, ALL))


def wrong_bytes_and_an_excuse(end: ServingEnd) -> None:
    """It says each time that it reads its copy again, as an honest server would once."""
    channel = open_honestly(end)
    while True:
        request = next_request(end)
        end.send(PieceHeader(request.request_id, request.candidates[0], 0, PIECE))
        end.send_bytes(os.urandom(PIECE))
        while not isinstance(end.receive(), Mismatch):
            pass
        end.send(Closed(channel, REREADING, "a moment"))
        while not isinstance(message := end.receive(), Open):
            pass
        channel = message.channel
        end.send(Opened(channel, ALL))


def noise(end: ServingEnd) -> None:
    open_honestly(end)
    end.was_asked.set()
    end.send_bytes(b"\xee" + os.urandom(1 << 16))


@pytest.mark.parametrize(
    "behave",
    [wrong_bytes, wrong_bytes_and_an_excuse, another_piece, more_than_a_piece, pieces_nobody_asked_for,
     slices_out_of_order, two_pieces_interleaved, a_slice_of_four_gigabytes, a_bitfield_too_short, a_bitfield_too_long,
     a_have_out_of_range, a_channel_that_is_not_open, opened_twice, noise],
)  # fmt: skip
def test_a_seeder_at_fault_is_blamed_and_the_file_comes_right_from_another(arena: Arena, behave: object) -> None:
    notices = lied_to(arena, behave, is_blamed=True)  # type: ignore[arg-type]
    assert "\x1b" not in str(notices)


def half_a_piece_and_gone(end: ServingEnd) -> None:
    open_honestly(end)
    request = next_request(end)
    end.send(PieceHeader(request.request_id, request.candidates[0], 0, PIECE))
    end.send_bytes(bytes(PIECE // 2))
    raise EOFError


def pieces_it_does_not_have(end: ServingEnd) -> None:
    open_honestly(end)
    while True:
        end.send(Reject(next_request(end).request_id, 2))


def a_byte_a_second(end: ServingEnd) -> None:
    open_honestly(end)
    request = next_request(end)
    end.send(PieceHeader(request.request_id, request.candidates[0], 0, PIECE))
    while True:
        end.send_bytes(b"x")
        time.sleep(1)


def nothing(end: ServingEnd) -> None:
    open_honestly(end)
    while True:
        next_request(end)


@pytest.mark.parametrize("behave", [half_a_piece_and_gone, pieces_it_does_not_have, a_byte_a_second, nothing])
def test_a_seeder_that_stalls_or_leaves_holds_nothing_up_for_long(arena: Arena, behave: object) -> None:
    """It may be slow, overloaded or cut off: nothing proves a fault, so nobody is blamed."""
    notices = lied_to(arena, behave, is_blamed=False)  # type: ignore[arg-type]
    assert "bad_peer" not in [notice["notice"] for notice in notices]
