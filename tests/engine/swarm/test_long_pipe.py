"""The window without a knob: one or two links over a long fat path, in virtual time, are kept full."""

import heapq
import itertools
import random

import numpy as np
import pytest

from engine.settings import Settings
from engine.swarm.actions import Ask, Revoke
from engine.swarm.bitfield import Bitfield, pack
from engine.swarm.geometry import Geometry
from engine.swarm.scheduler import Scheduler

MIB = 1 << 20


def seconds_for(size_bytes: int, links: int, round_trip_s: float, rate_bytes_per_s: float) -> float:
    """All links share one path; a server answers each link's requests in order, at the path's rate."""
    geometry = Geometry.of_size(size_bytes)
    have = np.zeros(geometry.piece_count, np.uint8)
    scheduler = Scheduler(geometry, have, Settings(), random.Random(1), itertools.count(1))
    for link in range(links):
        scheduler.link_opened(link, Bitfield(geometry.piece_count, pack(np.ones(geometry.piece_count, np.uint8))))
    news: list[tuple[float, int, str, int, int]] = []
    now_s = path_free_s = 0.0
    tie = itertools.count()

    def act() -> None:
        nonlocal path_free_s
        for action in scheduler.next_actions(now_s):
            if isinstance(action, Revoke):
                # Too late for the path, which carries the bytes all the same: what is stolen in vain costs time here.
                scheduler.revoked(action.request_id)
                continue
            assert isinstance(action, Ask)
            piece = action.candidates[0]
            begin_s = max(now_s + round_trip_s / 2, path_free_s)
            path_free_s = begin_s + geometry.length_of(piece) / rate_bytes_per_s
            heapq.heappush(news, (begin_s + round_trip_s / 2, next(tie), "granted", action.request_id, piece))
            heapq.heappush(news, (path_free_s + round_trip_s / 2, next(tie), "verified", action.request_id, piece))

    act()
    while not scheduler.is_complete:
        now_s, _, kind, request_id, piece = heapq.heappop(news)
        if kind == "granted":
            scheduler.granted(request_id, piece, now_s)
        else:
            scheduler.verified(request_id, now_s)
        act()
    return now_s


@pytest.mark.parametrize("links", [1, 2])
@pytest.mark.parametrize(
    ("size_bytes", "round_trip_s", "rate_bytes_per_s"),
    [
        (256 * MIB, 0.05, 125e6),  # 1 Gbit/s across a continent: 6 MB in flight
        (2048 * MIB, 0.05, 1250e6),  # 10 Gbit/s: 62 MB in flight
        (256 * MIB, 0.2, 60e6),
    ],
)
def test_a_long_pipe_is_filled(links: int, size_bytes: int, round_trip_s: float, rate_bytes_per_s: float) -> None:
    best_s = size_bytes / rate_bytes_per_s + round_trip_s
    assert best_s / seconds_for(size_bytes, links, round_trip_s, rate_bytes_per_s) > 0.85


def test_a_short_pipe_is_not_flooded() -> None:
    geometry = Geometry.of_size(256 * MIB)
    have = np.zeros(geometry.piece_count, np.uint8)
    settings = Settings()
    scheduler = Scheduler(geometry, have, settings, random.Random(1), itertools.count(1))
    scheduler.link_opened(0, Bitfield(geometry.piece_count, pack(np.ones(geometry.piece_count, np.uint8))))
    now_s, asked = 0.0, [a for a in scheduler.next_actions(0.0) if isinstance(a, Ask)]
    for _ in range(200):
        request = asked.pop(0)
        scheduler.granted(request.request_id, request.candidates[0], now_s + 0.0002)
        now_s += 0.002
        scheduler.verified(request.request_id, now_s)
        asked += [a for a in scheduler.next_actions(now_s) if isinstance(a, Ask)]
        assert len(asked) <= settings.pieces_in_flight
