"""Whole transfers between real worker pools: who serves, who is refused, who is blamed, what survives."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from engine.coordinator.directory import GroupTicket
from engine.coordinator.download.status import status_of
from engine.settings import Settings
from engine.storage import file_names, part_file
from tests.engine.conftest import GROUP, Node, World, link_count
from tests.faults.faulty_network import FaultyNetwork
from tests.testkit.fakes import Club, FakeDirectory

MIB = 1 << 20


async def until(is_true: Callable[[], bool], timeout_s: float = 30.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_true():
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("size_bytes", [0, 1, 262143, 262144, 262145, 3 * 262144, 5 * MIB + 17])
async def test_every_size_arrives_whole(world: World, size_bytes: int) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", size_bytes, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    async with asyncio.timeout(30):
        assert await fetching is not None
    assert download.state == "complete"
    assert target.read_bytes() == path.read_bytes()
    assert sorted(os.listdir(world.folder)) == ["copy.bin", "data.bin"]


async def test_every_seeder_serves_its_part(world: World) -> None:
    seeders = [await world.node(f"seeder{number}") for number in range(3)]
    leecher = await world.node("leecher")
    path, manifest = await world.file("data.bin", 6 * MIB, leecher)
    networks = [await FaultyNetwork.between(seeder.listener.port, seed=0) for seeder in seeders]
    for seeder, network in zip(seeders, networks, strict=True):
        seeder.serve(path, manifest)
        network.fault, network.throttle_bytes_per_s = "throttle", MIB  # alike, whatever else the machine has to do
    leecher.directory.peers = [
        seeder.member.at(network.port) for seeder, network in zip(seeders, networks, strict=True)
    ]
    try:
        download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
        await fetching
    finally:
        for network in networks:
            await network.close()
    shares = status_of(download).bytes_by_peer
    assert sorted(shares) == ["seeder0", "seeder1", "seeder2"]
    assert all(0.1 * 6 * MIB < count < 0.7 * 6 * MIB for count in shares.values()), shares
    assert sum(shares.values()) == 6 * MIB


async def test_several_links_to_one_peer_count_as_one_peer(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 256 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: download.state == "downloading" and link_count(download) == 2)
    assert status_of(download).peers_connected == 1


async def test_who_completes_keeps_no_link_to_those_who_are_complete(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher", Settings(workers=2, idle_link_s=0.2))
    path, manifest = await world.file("data.bin", 5 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    _, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
    assert await fetching is not None
    links = leecher.coordinator._links
    assert not any(link.files for link in links)
    await until(lambda: not list(links) and len(leecher.lost_links) > 0)


async def test_a_leecher_serves_what_it_has_before_it_is_complete(world: World) -> None:
    """The second leecher knows only the first, which cannot complete: the origin ends when half is out."""
    origin, first, second = [await world.node(name) for name in ("origin", "first", "second")]
    path, manifest = await world.file("data.bin", 64 * MIB, origin)
    origin.serve(path, manifest)
    first.knows(origin)
    second.knows(first)
    halfway, _ = first.fetch(world.folder / "first.bin", manifest)
    await until(lambda: halfway.verified_bytes >= 8 * MIB)
    await origin.coordinator.stop()
    got, fetching = second.fetch(world.folder / "second.bin", manifest)
    await until(lambda: got.verified_bytes == halfway.verified_bytes)
    assert not fetching.done()
    assert halfway.state != "complete"
    assert set(status_of(got).bytes_by_peer) == {"first"}


async def test_a_peer_that_sends_wrong_bytes_is_named_and_the_file_comes_from_the_others(world: World) -> None:
    honest, liar, leecher = [await world.node(name) for name in ("honest", "liar", "leecher")]
    path, manifest = await world.file("data.bin", 16 * MIB, honest)
    wrong = world.folder / "wrong.bin"
    wrong.write_bytes(bytes(16 * MIB))
    honest.serve(path, manifest)
    liar.serve(wrong, manifest)
    leecher.knows(honest, liar)
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    await fetching
    assert target.read_bytes() == path.read_bytes()
    assert set(download.peer_book._banned_until_s) == {"liar"}
    assert status_of(download).bytes_by_peer == {"honest": 16 * MIB}
    ((code, message),) = leecher.directory.notices
    assert code == "bad_peer"
    assert "liar" in message


class _Forger(FakeDirectory):
    """Shows whatever ticket it was given."""

    ticket = ""

    async def ticket_for(self, group_id: str, *, is_stale: bool = False) -> GroupTicket:
        return GroupTicket(self.ticket, self.is_open)


def _tickets(world: World, leecher: Node) -> dict[str, str]:
    member, other = leecher.member, world.club.member("other")
    foreign = Club().member("leecher")
    foreign.thumbprint = member.thumbprint
    return {
        "none": "-",
        "of another group": member.ticket("elsewhere", is_open=world.is_open),
        "ended": member.ticket(GROUP, now_s=1.0, is_open=world.is_open),
        "of another member": other.ticket(GROUP, is_open=world.is_open),
        "signed by a stranger": foreign.ticket(GROUP, is_open=world.is_open),
        "from before the members changed": member.ticket(GROUP, epoch=1, is_open=world.is_open),
    }


@pytest.mark.parametrize(
    "kind",
    [
        "none",
        "of another group",
        "ended",
        "of another member",
        "signed by a stranger",
        "from before the members changed",
    ],
)
async def test_without_a_valid_ticket_not_a_byte_is_served(world: World, kind: str) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", MIB, seeder)
    seeder.serve(path, manifest)
    seeder.coordinator.raise_epoch(GROUP, 2, "nobody")
    forger = _Forger(leecher.member)
    forger.is_open = world.is_open
    forger.ticket = _tickets(world, leecher)[kind]
    leecher.directory.ticket_for = forger.ticket_for  # type: ignore[method-assign]
    leecher.knows(seeder)
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: bool(leecher.refusals))
    assert leecher.refusals[0] in ("bad_ticket", "old_ticket")
    assert download.verified_bytes == 0
    assert download.progress.wasted_bytes == 0


async def test_a_valid_ticket_does_not_open_what_is_shared_in_another_group(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    download, _ = leecher.coordinator.fetch("elsewhere", "copy.bin", world.folder / "copy.bin", manifest)
    await until(lambda: bool(leecher.refusals))
    assert leecher.refusals[0] == "not_shared"
    assert download.verified_bytes == 0


async def test_a_sealed_group_is_not_served_over_an_open_link(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", MIB, seeder)
    seeder.serve(path, manifest)
    forger = _Forger(leecher.member)
    forger.ticket, forger.is_open = leecher.member.ticket(GROUP, is_open=False), True
    leecher.directory.ticket_for = forger.ticket_for  # type: ignore[method-assign]
    leecher.knows(seeder)
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: bool(leecher.refusals))
    assert leecher.refusals[0] == "sealed_group"
    assert download.verified_bytes == 0


async def test_a_certificate_of_another_authority_makes_no_link(world: World) -> None:
    stranger_club = Club()
    seeder, stranger = await world.node("seeder"), await world.node("stranger", club=stranger_club)
    path, manifest = await world.file("data.bin", MIB, seeder)
    seeder.serve(path, manifest)
    stranger.knows(seeder)
    download, _ = stranger.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: bool(stranger.lost_links))
    assert link_count(download) == 0
    assert download.verified_bytes == 0


async def test_a_removed_member_gets_nothing_more_in_the_middle_of_a_download(world: World) -> None:
    eager = Settings(workers=2, refused_delay_s=0.5)
    seeder, leecher = await world.node("seeder"), await world.node("leecher", eager)
    path, manifest = await world.file("data.bin", 256 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: download.verified_bytes > 0)
    seeder.coordinator.raise_epoch(GROUP, 5, "leecher")
    await until(lambda: bool(leecher.refusals))
    verified_bytes = download.verified_bytes
    await until(lambda: len(leecher.refusals) >= 3)
    assert not fetching.done()
    assert download.verified_bytes <= verified_bytes + 8 * manifest.geometry.piece_bytes


async def test_a_spared_key_goes_on_when_the_other_sessions_of_its_account_are_revoked(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    other = await world.node("leecher")
    path, manifest = await world.file("data.bin", 128 * MIB, seeder)
    seeder.serve(path, manifest)
    downloads = []
    for node, name in ((leecher, "copy.bin"), (other, "other.bin")):
        node.knows(seeder)
        downloads.append(node.fetch(world.folder / name, manifest))
    await until(lambda: all(download.verified_bytes > 0 for download, _ in downloads))
    seeder.coordinator.raise_epoch(GROUP, 5, "leecher", leecher.member.thumbprint)
    await until(lambda: bool(other.refusals))
    assert await downloads[0][1] is not None
    assert not downloads[1][1].done()


async def test_late_news_of_a_removal_does_not_let_an_old_ticket_in_at_a_worker_that_was_replaced(
    world: World,
) -> None:
    seeder = await world.node("seeder", Settings(workers=1))
    path, manifest = await world.file("data.bin", MIB, seeder)
    seeder.serve(path, manifest)
    seeder.coordinator.raise_epoch(GROUP, 5, "somebody")
    seeder.coordinator.raise_epoch(GROUP, 1, "somebody else")
    os.kill(seeder.worker_pids()[0], signal.SIGKILL)
    await until(lambda: bool(seeder.directory.notices))
    leecher = await world.node("leecher")
    leecher.knows(seeder)
    leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: bool(leecher.refusals))
    assert leecher.refusals[0] == "old_ticket"


async def test_a_killed_worker_costs_only_its_pieces_in_flight(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 128 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    await until(lambda: download.verified_bytes > 4 * MIB)
    os.kill(leecher.worker_pids()[0], signal.SIGKILL)
    async with asyncio.timeout(30):
        await fetching
    assert target.read_bytes() == path.read_bytes()
    assert [code for code, _ in leecher.directory.notices] == ["worker_died"]
    assert sum(status_of(download).bytes_by_peer.values()) == 128 * MIB


async def test_a_peer_that_goes_silent_is_left_and_its_pieces_come_from_another(world: World) -> None:
    quick = Settings(workers=2, silence_timeout_s=1.0)
    silent, other = await world.node("silent"), await world.node("other")
    leecher = await world.node("leecher", quick)
    path, manifest = await world.file("data.bin", 64 * MIB, other)
    for seeder in (silent, other):
        seeder.serve(path, manifest)
    leecher.knows(silent, other)
    target = world.folder / "copy.bin"
    download, fetching = leecher.fetch(target, manifest)
    await until(lambda: status_of(download).bytes_by_peer.get("silent", 0) > 0)
    for pid in silent.worker_pids():
        os.kill(pid, signal.SIGSTOP)
    try:
        async with asyncio.timeout(30):
            await fetching
    finally:
        for pid in silent.worker_pids():
            os.kill(pid, signal.SIGCONT)
    assert target.read_bytes() == path.read_bytes()


async def test_a_paused_download_goes_on_without_fetching_anything_twice(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 128 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    target = world.folder / "copy.bin"
    before, fetching = leecher.fetch(target, manifest)
    await until(lambda: before.verified_bytes > 16 * MIB)
    await leecher.coordinator.stop()
    assert fetching.cancelled()
    assert before.state == "paused"
    leecher.coordinator.configure(leecher.member.identity)
    after, fetching = leecher.fetch(target, manifest)
    await fetching
    fetched_bytes = sum(status_of(after).bytes_by_peer.values())
    assert fetched_bytes == 128 * MIB - before.verified_bytes
    assert target.read_bytes() == path.read_bytes()


async def test_without_a_good_journal_what_is_on_the_disk_is_hashed_not_fetched(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 32 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    target = world.folder / "copy.bin"
    part = file_names.part_path(target, manifest.root)
    half = bytearray(path.read_bytes())
    half[16 * MIB :] = bytes(16 * MIB)
    part.write_bytes(half)
    file_names.journal_path(part).write_bytes(b"shoal journal v1\ntorn")
    download, fetching = leecher.fetch(target, manifest)
    await fetching
    assert sum(status_of(download).bytes_by_peer.values()) == 16 * MIB
    assert target.read_bytes() == path.read_bytes()


async def test_a_shared_file_that_was_edited_is_not_served_any_more(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 4 * MIB, seeder)
    seeder.serve(path, manifest)
    with path.open("r+b") as file:
        file.write(b"edited")
    leecher.knows(seeder)
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: bool(seeder.directory.broken))
    assert download.verified_bytes == 0
    assert not leecher.directory.notices  # the seeder noticed by itself: nobody was sent a wrong byte


async def test_a_file_that_shrinks_under_the_server_kills_nobody(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 64 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    pids = seeder.worker_pids()
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: download.verified_bytes > 0)
    os.truncate(path, 1000)
    await until(lambda: bool(seeder.directory.broken))
    assert seeder.worker_pids() == pids


async def test_a_halted_download_is_paused_and_its_discarding_leaves_nothing_behind(world: World) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 256 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: download.verified_bytes > 0)
    await leecher.coordinator.halt(download)
    assert download.state == "paused"
    assert download.store.part.exists()
    part_file.remove(download.store.part, is_expected=True, saved=None)
    assert os.listdir(world.folder) == ["data.bin"]


async def test_have_bits_are_set_only_for_pieces_that_are_in_the_file(world: World, tmp_path: Path) -> None:
    seeder, leecher = await world.node("seeder"), await world.node("leecher")
    path, manifest = await world.file("data.bin", 64 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: download.verified_bytes > 8 * MIB)
    await leecher.coordinator.stop()
    whole, part = path.read_bytes(), download.store.part.read_bytes()
    geometry = manifest.geometry
    for piece in np.flatnonzero(download.store.shared.have).tolist():
        begin = geometry.offset_of(piece)
        end = begin + geometry.length_of(piece)
        assert part[begin:end] == whole[begin:end]
