"""The end of a download between real worker pools: silent, slow and lying holders of the last pieces."""

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from engine.coordinator.download.status import status_of
from engine.ipc import orders
from engine.swarm.actions import Cut
from engine.swarm.scheduler import Scheduler
from tests.engine.conftest import Node, World, link_count
from tests.engine.coordinator.test_transfer import MIB, until
from tests.faults.faulty_network import FaultyNetwork


@contextmanager
def silenced(node: Node) -> Iterator[None]:
    """Its workers hold still: connections stay open, nothing is sent, nothing is said."""
    pids = node.worker_pids()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):  # its own client ended it, because it answered nothing for long
                os.kill(pid, signal.SIGCONT)


def ordered(node: Node, kind: type[orders.Order]) -> list[orders.Order]:
    """Every order of this kind that the node's workers get from now on."""
    found: list[orders.Order] = []
    send = node.coordinator._pool.send

    def overhear(worker_number: int, order: orders.AnyOrder, descriptors: object = ()) -> None:
        if isinstance(order, kind):
            found.append(order)
        send(worker_number, order, descriptors)  # type: ignore[arg-type]

    node.coordinator._pool.send = overhear  # type: ignore[method-assign]
    return found


async def test_a_holder_that_falls_silent_with_the_last_pieces_costs_its_deadline_not_its_timeout(world: World) -> None:
    """Nothing closes, so only the deadline can tell; settings.silence_timeout_s is ten seconds."""
    silent, other, leecher = [await world.node(name) for name in ("silent", "other", "leecher")]
    path, manifest = await world.file("data.bin", 32 * MIB, other)
    for seeder in (silent, other):
        seeder.serve(path, manifest)
    leecher.knows(silent, other)
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    await until(lambda: status_of(download).bytes_by_peer.get("silent", 0) > 0)
    with silenced(silent):
        async with asyncio.timeout(6.0):
            await fetching
    assert target.read_bytes() == path.read_bytes()
    assert not [reason for reason in leecher.lost_links if "nothing" in reason]


async def test_a_duplicate_is_written_once_the_silent_holder_has_let_go(world: World) -> None:
    silent, other, leecher = [await world.node(name) for name in ("silent", "other", "leecher")]
    path, manifest = await world.file("data.bin", 64 * MIB, other)
    for seeder in (silent, other):
        seeder.serve(path, manifest)
    leecher.knows(silent, other)
    kept = ordered(leecher, orders.KeepScratch)
    revoked = ordered(leecher, orders.RevokeRequest)
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    await until(lambda: status_of(download).bytes_by_peer.get("silent", 0) > 8 * MIB)
    with silenced(silent):
        async with asyncio.timeout(20.0):
            await fetching
    assert target.read_bytes() == path.read_bytes()
    assert len(kept) <= len(revoked)
    assert status_of(download).wasted_bytes <= 8 * manifest.geometry.piece_bytes


async def test_a_piece_in_parts_from_two_peers_is_whole_and_credited_to_both(world: World) -> None:
    """The cut is ordered by hand when the one piece begins to come, over a network so slow that half of it is not yet
    sent by then; all the rest is as ever.
    """
    seeders = [await world.node(f"seeder{number}") for number in range(2)]
    leecher = await world.node("leecher")
    path, manifest = await world.file("data.bin", 16 * MIB, leecher, piece_bytes=16 * MIB)
    for seeder in seeders:
        seeder.serve(path, manifest)
    networks = [await FaultyNetwork.between(seeder.listener.port, seed=0) for seeder in seeders]
    for network in networks:
        network.fault, network.throttle_bytes_per_s = "throttle", 8 * MIB
    leecher.directory.peers = [
        seeder.member.at(network.port) for seeder, network in zip(seeders, networks, strict=True)
    ]
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    await until(lambda: download.state == "downloading" and link_count(download) > 1)
    assert download.fetching is not None
    scheduler = download.fetching.scheduler
    await until(lambda: any(request.piece is not None for request in scheduler._leases))
    (request,) = scheduler._leases
    scheduler._pending.append(Cut(request.request_id, request.link))
    leecher.coordinator._pump_soon()
    async with asyncio.timeout(30):
        await fetching
    assert target.read_bytes() == path.read_bytes()
    shares = status_of(download).bytes_by_peer
    assert sum(shares.values()) == 16 * MIB
    assert len(shares) == 2
    for network in networks:
        await network.close()


async def test_of_a_piece_in_parts_that_does_not_match_only_the_liar_is_blamed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two halves of one piece are asked for as parts; one of the peers has other bytes there."""
    monkeypatch.setattr(Scheduler, "_fill", lambda self, now_s: iter(()))
    honest, liar, leecher = [await world.node(name) for name in ("honest", "liar", "leecher")]
    path, manifest = await world.file("data.bin", MIB, honest)
    wrong = world.folder / "wrong.bin"
    wrong.write_bytes(bytes(MIB))
    honest.serve(path, manifest)
    liar.serve(wrong, manifest)
    leecher.knows(honest, liar)
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    await until(lambda: download.state == "downloading" and link_count(download) == 2)
    assert download.fetching is not None
    scheduler, length = download.fetching.scheduler, manifest.geometry.length_of(0)
    scheduler._picker.reserve(0)
    scheduler._splits.cut(0, length, 0, length // 2)
    scheduler._splits.cut(0, length, length // 2, length)
    await until(lambda: 0 in scheduler._splits._suspects)
    assert not download.peer_book._banned_until_s  # nobody knows yet whose half it was
    monkeypatch.undo()
    async with asyncio.timeout(30):
        await fetching
    assert target.read_bytes() == path.read_bytes()
    assert set(download.peer_book._banned_until_s) == {"liar"}
