"""What an idle link takes over, and in which way."""

import itertools

from engine.swarm.endgame import TWINS_MAX, Endgame, How, Takeover
from engine.swarm.geometry import Geometry
from engine.swarm.leases import Leases, Request
from engine.swarm.source import Source
from tests.testkit.builders import bitfield_of

MIB = 1 << 20
HOLDER, IDLE = 1, 2


class Download:
    """One link holds piece 0, granted at 0 s; another has all pieces and nothing to do. Both bring a MiB a second."""

    def __init__(self, piece_bytes: int, round_trip_s: float = 0.0) -> None:
        self.geometry = Geometry(8 * piece_bytes, piece_bytes)
        self.sources = {link: Source(bitfield_of(8, range(8))) for link in (HOLDER, IDLE)}
        for source in self.sources.values():
            source.window.rate_bytes_per_s, source.window.round_trip_s = 1.0 * MIB, round_trip_s
        self.leases = Leases(itertools.count(1))
        self.request = self.hold(0)

    def hold(self, piece: int) -> Request:
        request = self.leases.ask(HOLDER, (piece,), 0.0)
        self.leases.grant(request, piece, 0.0)
        return request

    def takeovers(self, now_s: float, *, is_over: bool = True) -> list[Takeover]:
        return list(Endgame(self.geometry, self.sources, self.leases).takeovers([IDLE], now_s, is_over=is_over))

    def how(self, now_s: float, *, is_over: bool = True) -> How | None:
        found = self.takeovers(now_s, is_over=is_over)
        assert not found or (found[0].request, found[0].thief) == (self.request, IDLE)
        return found[0].how if found else None


def test_a_large_piece_on_its_way_is_split() -> None:
    assert Download(4 * MIB).how(0.0) is How.SPLIT


def test_nothing_is_taken_over_while_there_are_free_pieces() -> None:
    assert Download(4 * MIB).how(0.0, is_over=False) is None


def test_a_piece_nearly_there_is_left_alone() -> None:
    assert Download(4 * MIB).how(3.0) is None


def test_a_piece_is_not_split_when_what_is_left_of_it_was_sent_already() -> None:
    """A cut is heard of half a round trip later, and what was sent by then comes all the same, for nothing."""
    assert Download(4 * MIB, round_trip_s=0.2).how(0.0) is How.SPLIT
    assert Download(4 * MIB, round_trip_s=1.0).how(0.0) is None


def test_what_can_not_be_cut_any_more_is_begun_anew_only_by_a_much_quicker_link() -> None:
    download = Download(4 * MIB)
    download.request.is_cuttable = False
    assert download.how(0.0) is None
    download.sources[IDLE].window.rate_bytes_per_s = 4.0 * MIB
    assert download.how(0.0) is How.STEAL


def test_a_silent_holder_gets_a_second_one_beside_it() -> None:
    """Its own mean for a piece is four seconds; after three times that it is silent."""
    assert Download(4 * MIB).how(13.0) is How.DUPLICATE


def test_what_is_on_its_way_is_waited_for_as_long_as_there_is_something_else_to_ask_for() -> None:
    assert Download(4 * MIB).how(13.0, is_over=False) is None


def test_a_piece_has_two_holders_at_most_and_few_have_two() -> None:
    download = Download(4 * MIB)
    download.leases.ask_twin(IDLE, download.request, 13.0)
    assert download.how(14.0) is None
    for piece in range(1, TWINS_MAX):
        download.leases.ask_twin(IDLE, download.hold(piece), 13.0)
    download.hold(TWINS_MAX)
    assert download.takeovers(14.0) == []


def test_what_would_come_last_is_taken_first() -> None:
    download = Download(4 * MIB)
    last = download.hold(1)
    assert download.takeovers(0.0)[0].request is last


def test_what_was_taken_from_a_link_does_not_come_back_to_it() -> None:
    download = Download(4 * MIB)
    download.request.is_cuttable = False
    download.sources[IDLE].window.rate_bytes_per_s = 40.0 * MIB
    download.sources[IDLE].not_before_s[0] = 0.0
    assert download.how(0.0) is None


def test_a_link_that_lacks_the_piece_takes_nothing_over() -> None:
    download = Download(4 * MIB)
    download.sources[IDLE].pieces = bitfield_of(8, range(1, 8))
    assert download.how(0.0) is None
