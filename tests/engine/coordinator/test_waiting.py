"""A download that waits says for whom, at which address, and what came of trying: real sockets that do not answer."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from engine.coordinator.directory import GroupTicket
from engine.coordinator.download.download import Download
from engine.coordinator.download.status import status_of
from engine.coordinator.peer_links import PeerAddress
from engine.errors import RefusedByTracker, TrackerUnavailable
from engine.reports import UnreachedPeer
from engine.settings import Settings
from tests.engine.conftest import Node, World
from tests.engine.coordinator.test_transfer import until

MIB = 1 << 20
HASTY = Settings(workers=2, dial_timeout_s=0.5, handshake_timeout_s=0.5, silence_timeout_s=0.5, unreached_notice_s=0.5)


@contextmanager
def nobody() -> Iterator[int]:
    """A port at which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def silence() -> Iterator[int]:
    """A port at which connections are accepted, and that is all."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield server.getsockname()[1]


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that lets every new connection fall to the ground: its queue is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(server.getsockname())
        try:
            yield server.getsockname()[1]
        finally:
            for filler in fillers:
                filler.close()


def waiting_for(download: Download) -> dict[str, UnreachedPeer]:
    return {each.user_id: each for each in status_of(download).waiting_for}


def named(leecher: Node, download: Download, peer: PeerAddress) -> None:
    """By the tracker, from now on, and at this address only."""
    others = [each for each in leecher.directory.peers if each.thumbprint != peer.thumbprint]
    leecher.directory.peers = [*others, peer]
    leecher.coordinator.peer_joined("lab", download.wanted.manifest.root, peer)


async def lonely(world: World) -> tuple[Node, Node, Download]:
    """A seeder that serves, and a leecher that has begun to fetch and knows nobody yet."""
    seeder, leecher = await world.node("seeder"), await world.node("leecher", HASTY)
    path, manifest = await world.file("data.bin", MIB, seeder)
    seeder.serve(path, manifest)
    download, _ = leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: download.peer_book.has_looked)
    return seeder, leecher, download


async def test_it_says_whom_it_tried_at_which_address_and_what_came_back(world: World) -> None:
    seeder, leecher, download = await lonely(world)
    with nobody() as refusing, silence() as mute, black_hole() as hole:
        places = {"refused": refusing, "no_answer": mute, "timed_out": hole, "other_peer": seeder.listener.port}
        for user_id, port in places.items():
            member = world.club.member(user_id)
            named(leecher, download, member.at(port))
        await until(
            lambda: (
                {user_id: each.cause for user_id, each in waiting_for(download).items()}
                == {user_id: user_id for user_id in places}
            )
        )
        status = status_of(download)
        assert (status.state, status.verified_bytes) == ("waiting", 0)
        for each in status.waiting_for:
            assert (each.host, each.port) == ("127.0.0.1", places[each.user_id])
            assert each.tries >= 1
            assert each.since_s > 0
            assert f"{each.user_id} at 127.0.0.1:{each.port}: " in str(status.why_waiting)
        tried = waiting_for(download)["refused"].tries
        await until(lambda: waiting_for(download)["refused"].tries > tried)  # it stays in this state
        await until(lambda: "refused at 127.0.0.1" in leecher.directory.notices[-1][1])
    said = [message for code, message in leecher.directory.notices if code == "download_waiting"]
    assert len([message for message in said if "127.0.0.1" in message]) == 1  # once, however long it lasts


async def test_whoever_is_reached_at_last_ends_the_waiting(world: World) -> None:
    seeder, leecher, download = await lonely(world)
    with nobody() as port:
        named(leecher, download, seeder.member.at(port))
        await until(lambda: "refused" in {each.cause for each in status_of(download).waiting_for})
    named(leecher, download, seeder.member.at(seeder.listener.port))
    await until(lambda: download.state == "complete")
    status = status_of(download)
    assert (status.waiting_for, status.why_waiting) == ((), None)
    assert status.waiting_s > 0
    assert 0 < status.seconds < 10
    assert status.rate_bytes_per_s == pytest.approx(MIB / status.seconds)
    assert (status.fetched_bytes, status.reused_bytes) == (MIB, 0)


async def test_who_shares_something_else_or_does_not_believe_the_ticket_is_told_apart(world: World) -> None:
    _, leecher, download = await lonely(world)
    other, strict = await world.node("other"), await world.node("strict")
    strict.coordinator.raise_epoch("lab", 7, "somebody")
    for node in (other, strict):
        named(leecher, download, node.member.at(node.listener.port))
    await until(
        lambda: (
            {user_id: each.cause for user_id, each in waiting_for(download).items()}
            == {"other": "not_shared", "strict": "ticket_refused"}
        )
    )


async def test_somebody_who_has_no_more_than_we_have_is_named_as_such(world: World) -> None:
    _, leecher, download = await lonely(world)
    other = await world.node("other")
    other.fetch(world.folder / "other.bin", download.wanted.manifest)
    named(leecher, download, other.member.at(other.listener.port))
    await until(lambda: [each.cause for each in status_of(download).waiting_for] == ["nothing_new"])


async def test_without_a_tracker_it_does_not_say_that_nobody_has_it(world: World) -> None:
    leecher = await world.node("leecher", HASTY)
    _, manifest = await world.file("data.bin", MIB, leecher)

    async def fail(*_: object, **__: object) -> GroupTicket:
        raise TrackerUnavailable("no tracker answers")

    leecher.directory.ticket_for = fail  # type: ignore[method-assign]
    leecher.directory.find_peers = fail  # type: ignore[method-assign,assignment]
    leecher.fetch(world.folder / "copy.bin", manifest)
    await until(lambda: bool(leecher.directory.notices))
    assert leecher.directory.notices == [
        ("download_waiting", "who has copy.bin cannot be found out: no tracker answers")
    ]


async def test_an_address_that_answers_and_says_nothing_is_not_waited_for_without_end(world: World) -> None:
    """The greeting of an open link had no limit: the link was there for ever, and nobody else was dialled."""
    _, leecher, download = await lonely(world)
    with silence() as port:
        mute = PeerAddress("mute", "127.0.0.1", port, b"m" * 32)
        named(leecher, download, mute)
        async with asyncio.timeout(10):
            while not leecher.lost_links:
                await asyncio.sleep(0.01)


def delist(leecher: Node) -> None:
    async def refuse(*_: object, **__: object) -> list[PeerAddress]:
        raise RefusedByTracker("that file is not in lab, or no longer", "no_such_file")

    leecher.directory.find_peers = refuse  # type: ignore[method-assign]


async def test_a_file_that_left_the_list_and_that_nobody_gives_is_stuck_and_what_came_is_kept(world: World) -> None:
    leecher = await world.node("leecher", HASTY)
    _, manifest = await world.file("data.bin", MIB, leecher)
    delist(leecher)
    download, fetching = leecher.fetch(world.folder / "copy.bin", manifest)
    async with asyncio.timeout(10):
        assert await fetching is None
    status = status_of(download)
    assert (status.state, status.error_code) == ("stuck", "no_such_file")
    assert "copy.bin is not in lab any more" in str(status.error)
    assert "cancel_download removes it" in str(status.error)
    assert download.store.part.exists()


async def test_a_file_that_left_the_list_is_fetched_from_those_who_give_it(world: World) -> None:
    seeder, leecher, download = await lonely(world)
    delist(leecher)
    leecher.coordinator.peer_joined("lab", download.wanted.manifest.root, seeder.member.at(seeder.listener.port))
    await until(lambda: download.state == "complete")
