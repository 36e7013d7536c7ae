"""A long path between real worker pools is filled: the window works with sockets and clocks, not only in virtual time.

The pieces are small against the path, so that the bound on the sum in flight, which needs no measuring, fills only half
of it: what is seen beyond that is the window's work.
"""

import asyncio
import time

from engine.settings import Settings
from tests.engine.conftest import World
from tests.engine.coordinator.test_transfer import until
from tests.testkit.long_path import LongPath, PlainStream

MIB = 1 << 20
SIZE_BYTES = 128 * MIB
ROUND_TRIP_S = 0.05
RATE_BYTES_PER_S = 84e6


async def test_a_long_pipe_is_filled(world: World) -> None:
    """Counted from a quarter of the file on, when the window has opened; against a plain stream over the same path."""
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", SIZE_BYTES, seeder)
    seeder.serve(path, manifest)
    bound_bytes = Settings().pieces_in_flight * manifest.geometry.piece_bytes
    assert bound_bytes < 0.6 * RATE_BYTES_PER_S * ROUND_TRIP_S
    with PlainStream() as stream, LongPath(RATE_BYTES_PER_S, ROUND_TRIP_S, [seeder.listener.port, stream.port]) as far:
        plain_s = await asyncio.to_thread(stream.seconds_for, SIZE_BYTES // 4, far.ports[1])
        leecher.directory.peers = [seeder.member.at(far.ports[0])]
        download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
        await until(lambda: download.verified_bytes >= SIZE_BYTES // 4)
        first_bytes, started_s = download.verified_bytes, time.perf_counter()
        await until(lambda: download.verified_bytes == SIZE_BYTES)
        seconds = time.perf_counter() - started_s
        assert await fetching is not None
    allowed = SIZE_BYTES // 4 / (plain_s - ROUND_TRIP_S)
    reached = (SIZE_BYTES - first_bytes) / seconds
    assert reached >= 0.85 * allowed, f"{reached / 1e6:.1f} MB/s of {allowed / 1e6:.1f}"
