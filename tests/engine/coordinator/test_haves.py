"""Whom a client tells of the pieces it gains: those that lack them."""

import os
from types import SimpleNamespace
from typing import Any

from engine.ipc import orders, reports
from engine.net.tls import PeerIdentity
from engine.storage.piece_table import PieceTable
from engine.worker.serve_side import ServeSide
from tests.engine.coordinator.conftest import Scene

ANN, BOB = PeerIdentity("ann", b"a" * 32), PeerIdentity("bob", b"b" * 32)


class FakeServeLink:
    def __init__(self, peer: PeerIdentity | None) -> None:
        self.peer = peer
        self.told: list[tuple[int, ...]] = []

    def announce(self, file: object, pieces: tuple[int, ...]) -> None:
        self.told.append(pieces)


def worker_with(*links: FakeServeLink) -> Any:
    file, descriptor = PieceTable.create(4)
    os.close(descriptor)
    file.have[:] = [1, 0, 1, 1]
    return SimpleNamespace(_files={7: file}, _links=dict.fromkeys(links))


def carry_out(worker: Any, order: orders.AnyOrder) -> None:
    ServeSide.handlers[type(order)](worker, order)


def test_who_has_a_piece_is_not_told_of_it() -> None:
    to_ann, to_bob, to_a_stranger = FakeServeLink(ANN), FakeServeLink(BOB), FakeServeLink(None)
    worker = worker_with(to_ann, to_bob, to_a_stranger)
    carry_out(worker, orders.AnnouncePieces(7, (3,), (BOB.thumbprint,)))
    assert (to_ann.told, to_bob.told, to_a_stranger.told) == ([(3,)], [], [])


def test_who_may_not_have_what_it_had_is_told_of_everything() -> None:
    to_ann, to_bob = FakeServeLink(ANN), FakeServeLink(BOB)
    carry_out(worker_with(to_ann, to_bob), orders.TellAgain(7, BOB.thumbprint))
    assert (to_ann.told, to_bob.told) == ([], [(0, 2, 3)])


def test_a_peer_whose_pieces_we_do_not_see_any_more_is_told_again_and_one_we_never_saw_is_not(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    seen, unseen = scene.link("ann"), scene.link("bob")
    fetching.handle(reports.ChannelOpened(seen.link_id, scene.file_id, b"\xf0"), seen)
    scene.pool.orders.clear()
    for link in (seen, unseen, seen):
        fetching.link_down(link, "hung_up", "")
    assert scene.pool.kinds(orders.TellAgain) == [orders.TellAgain(scene.file_id, seen.peer.thumbprint)]
