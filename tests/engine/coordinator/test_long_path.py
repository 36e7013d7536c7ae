"""A long path between real worker pools is filled: the window works with sockets and clocks, not only in virtual time.

A path is full when so much was asked for that its rate times its round trip is under way. That is what is counted here:
seconds would say how busy the machine is as well (the run `distance` of the benches has them, on a quiet one).
"""

import statistics

from engine.settings import Settings
from tests.engine.conftest import World
from tests.engine.coordinator.test_transfer import until
from tests.testkit.long_path import LongPath

MIB = 1 << 20
SIZE_BYTES = 64 * MIB
ROUND_TRIP_S = 0.1
RATE_BYTES_PER_S = 42e6
PATH_BYTES = RATE_BYTES_PER_S * ROUND_TRIP_S


async def test_a_long_pipe_is_filled(world: World) -> None:
    """Counted in the middle half of the file: the window has opened, and there is still enough to ask for.

    The pieces are small against the path, so that the bound on the sum in flight, which needs no measuring, fills only
    half of it: what is seen beyond that is the window's work.
    """
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", SIZE_BYTES, seeder)
    seeder.serve(path, manifest)
    piece_bytes = manifest.geometry.piece_bytes
    assert Settings().pieces_in_flight * piece_bytes < 0.6 * PATH_BYTES
    in_flight_bytes: list[int] = []
    with LongPath(RATE_BYTES_PER_S, ROUND_TRIP_S, [seeder.listener.port]) as far:
        leecher.directory.peers = [seeder.member.at(far.ports[0])]
        download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)

        def is_nearly_all_here() -> bool:
            if download.fetching is not None and download.verified_bytes >= SIZE_BYTES // 4:
                scheduler = download.fetching.scheduler
                in_flight_bytes.append(sum(piece_bytes * scheduler.in_flight_of(each) for each in scheduler._links))
            return download.verified_bytes >= SIZE_BYTES * 3 // 4

        await until(is_nearly_all_here)
        assert await fetching is not None
    assert statistics.median(in_flight_bytes) >= PATH_BYTES
