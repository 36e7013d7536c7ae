"""Whatever the network does for a while, the file arrives whole afterwards, without a hand being moved."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.coordinator.download.status import status_of
from engine.settings import Settings
from tests.engine.conftest import World
from tests.engine.coordinator.test_transfer import until
from tests.faults.faulty_network import FAULTS, Fault, FaultyNetwork

MIB = 1 << 20
SIZE = 24 * MIB
QUICK = Settings(
    workers=2, silence_timeout_s=1.0, dial_timeout_s=1.0, handshake_timeout_s=1.0, redial_delay_s=0.2,
    redial_delay_max_s=0.5, refused_delay_s=0.5, ban_s=1.0, find_peers_interval_s=1.0,
)  # fmt: skip


@pytest.fixture(params=["sealed", "open"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    world = World(tmp_path, is_open=request.param == "open")
    yield world
    for node in world.nodes:
        node.listener.close()
        await node.coordinator.close()


@pytest.mark.parametrize("fault", FAULTS)
async def test_after_a_fault_of_the_network_the_download_goes_on_and_is_right(world: World, fault: Fault) -> None:
    seed = secrets.randbelow(1 << 32)
    print(f"seed {seed}")
    seeder, leecher = await world.node("seeder", QUICK), await world.node("leecher", QUICK)
    path, manifest = await world.file("data.bin", SIZE, seeder)
    seeder.serve(path, manifest)
    network = await FaultyNetwork.between(seeder.listener.port, seed)
    try:
        leecher.directory.peers = [seeder.member.at(network.port)]
        download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
        await until(lambda: download.verified_bytes > MIB)
        network.fault = fault
        await until(lambda: network.hurt >= 3 or (network.hurt >= 1 and fault in ("reset", "half_close", "gone")))
        await asyncio.sleep(0.5)
        network.fault = "none"
        async with asyncio.timeout(30):
            assert await fetching is not None
    finally:
        await network.close()
    assert (world.folder / "copy.bin").read_bytes() == path.read_bytes()
    assert "worker_died" not in [code for code, _ in leecher.directory.notices]


async def test_all_sharers_gone_and_back_later_under_another_address(world: World) -> None:
    leecher, first = await world.node("leecher", QUICK), await world.node("seeder", QUICK)
    path, manifest = await world.file("data.bin", SIZE * 4, first)
    first.serve(path, manifest)
    leecher.knows(first)
    download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: download.verified_bytes > MIB)
    first.listener.close()
    await first.coordinator.close()
    world.nodes.remove(first)
    leecher.knows()
    await until(lambda: download.state == "waiting")
    again = await world.node("seeder", QUICK)  # a new port and a new key, as after a restart elsewhere
    again.serve(path, manifest)
    leecher.knows(again)
    async with asyncio.timeout(30):
        assert await fetching is not None
    assert (world.folder / "copy.bin").read_bytes() == path.read_bytes()
    assert sum(status_of(download).bytes_by_peer.values()) == SIZE * 4
