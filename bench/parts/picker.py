"""The piece picker with a million pieces and a thousand peers: one pick, one HAVE, one peer's arrival; memory.

It calls engine.swarm directly, as the scheduler does. A pick is `rarest(peer, 8)` and the reservation of what it found,
for a random peer; before the next one the oldest of eight requests in flight ends, which is not timed: one of its
pieces is there then, the others are free again. A few peers are complete, the rest have between nothing and all. A HAVE
is a random new piece of a random incomplete peer. Picks are counted in CPU time of this thread, because other programs
of a busy machine would otherwise count in the slowest of them; HAVEs and arrivals in wall time. Not for: whole swarms.
"""

import argparse
import gc
import itertools
import os
import random
import statistics
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from bench.record.report import Figure, Section, cell
from engine.swarm.availability import Availability
from engine.swarm.bitfield import Bitfield
from engine.swarm.picker import Picker
from tests.testkit.measure import private_bytes

_CANDIDATES = 8
_IN_FLIGHT = 8
_COMPLETE_PEERS = 5
_HAVE_BATCH = 10_000
_SEED = 1


@dataclass
class _Samples:
    joins_s: list[float] = field(default_factory=list)
    picks_s: list[float] = field(default_factory=list)
    haves_s: float = 0.0
    have_count: int = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pieces", type=int, default=1_000_000)
    parser.add_argument("--peers", type=int, default=1000)
    parser.add_argument("--picks", type=int, default=20_000)
    parser.add_argument("--haves", type=int, default=500_000)


def measure(options: argparse.Namespace) -> Section:
    _random_bits(options.pieces, 0.5, np.random.default_rng())  # what making the peers takes is not the picker's
    gc.collect()
    before = private_bytes(os.getpid())
    rng, samples = random.Random(_SEED), _Samples()
    availability = Availability(options.pieces, rng)
    peers = _join(availability, options.pieces, options.peers, samples)
    picker = Picker(availability, np.zeros(options.pieces, np.uint8))
    _pick(picker, peers, options.picks, rng, samples)
    _hear(availability, peers, options.haves, samples)
    gc.collect()
    memory_bytes = private_bytes(os.getpid()) - before
    pick_us, worst_us = statistics.mean(samples.picks_s) * 1e6, max(samples.picks_s) * 1e6
    have_us = samples.haves_s / samples.have_count * 1e6
    rows = [
        ["a pick of 8 candidates, median", f"{cell(statistics.median(samples.picks_s) * 1e6)} µs"],
        ["a pick of 8 candidates, mean", f"{cell(pick_us)} µs"],
        ["the slowest pick", f"{cell(worst_us)} µs"],
        ["a HAVE, mean", f"{cell(have_us)} µs"],
        ["a peer with a part of the file joins, median", f"{cell(statistics.median(samples.joins_s) * 1e3)} ms"],
        ["memory of it all", f"{cell(memory_bytes / 1e6)} MB"],
    ]
    of_bitfields = f"{options.peers * options.pieces / 8e6:,.0f} MB of it are bitfields"
    return Section(
        "picker",
        f"The picker with {options.pieces:,} pieces and {options.peers:,} peers",
        f"{_COMPLETE_PEERS} complete peers, the others have any share of the file; {options.picks:,} picks.",
        ["what", "cost"],
        rows,
        [
            Figure("one pick", 20.0, pick_us, "µs", "at most", "mean of CPU time, eight candidates reserved"),
            Figure("one HAVE", 2.0, have_us, "µs", "at most", "mean"),
            Figure("memory", 150.0, memory_bytes / 1e6, "MB", "at most", of_bitfields),
        ],
        data={"pick_us": [round(each * 1e6, 2) for each in samples.picks_s[::20]], "joins_s": samples.joins_s},
    )


def _join(availability: Availability, piece_count: int, peer_count: int, samples: _Samples) -> list[Bitfield]:
    generator = np.random.default_rng(_SEED)
    peers = []
    for number in range(peer_count):
        share = 1.0 if number < _COMPLETE_PEERS else generator.random()
        peer = Bitfield(piece_count, _random_bits(piece_count, share, generator))
        started_s = time.perf_counter()
        availability.add_peer(peer)
        if not peer.is_complete:
            samples.joins_s.append(time.perf_counter() - started_s)
        peers.append(peer)
    return peers


def _random_bits(piece_count: int, share: float, generator: np.random.Generator) -> bytes:
    return np.packbits(generator.random(piece_count, dtype=np.float32) < share).tobytes()


def _pick(picker: Picker, peers: list[Bitfield], count: int, rng: random.Random, samples: _Samples) -> None:
    in_flight: deque[list[int]] = deque()
    for _ in range(count):
        peer = rng.choice(peers)
        started_s = time.thread_time()
        found = picker.rarest(peer, _CANDIDATES)
        for piece in found:
            picker.reserve(piece)
        samples.picks_s.append(time.thread_time() - started_s)
        in_flight.append(found)
        if len(in_flight) >= _IN_FLIGHT and (done := in_flight.popleft()):
            picker.retire(done[0])
            for piece in done[1:]:
                picker.release(piece)


def _hear(availability: Availability, peers: list[Bitfield], count: int, samples: _Samples) -> None:
    generator = np.random.default_rng(_SEED + 1)
    partial = [peer for peer in peers if not peer.is_complete]
    senders = itertools.cycle(partial)
    for _ in range(0, count, _HAVE_BATCH):
        pieces = generator.integers(0, peers[0].piece_count, _HAVE_BATCH).tolist()
        started_s = time.perf_counter()
        for piece in pieces:
            if next(senders).add(piece):
                availability.add_have(piece)
        samples.haves_s += time.perf_counter() - started_s
        samples.have_count += _HAVE_BATCH
