"""Whom a client tells of the pieces it gains: those that lack them."""

import os
from types import SimpleNamespace
from typing import Any

from engine.coordinator.download.download_run import DownloadRun
from engine.coordinator.download.peer_book import PeerBook
from engine.ipc import orders
from engine.net.tls import PeerIdentity
from engine.settings import Settings
from engine.storage.piece_table import PieceTable
from engine.worker.serve_side import ServeSide

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


class FakeDownload:
    file_id = 7

    def __init__(self, *open_on: object) -> None:
        self.open_on = list(open_on)
        self.peer_book = PeerBook()

    def is_open_on(self, link: object) -> bool:
        return link in self.open_on

    def lost(self, link: object) -> None:
        self.open_on = [each for each in self.open_on if each is not link]


def test_a_peer_whose_pieces_we_do_not_see_any_more_is_told_again_and_one_we_never_saw_is_not() -> None:
    sent_orders: list[orders.AnyOrder] = []
    seen, unseen = (SimpleNamespace(peer=peer) for peer in (ANN, BOB))
    pool = SimpleNamespace(send_all=sent_orders.append)
    parts: Any = SimpleNamespace(pool=pool, links=[], directory=None, settings=Settings())
    download: Any = FakeDownload(seen)
    run = DownloadRun(download, parts)
    for link in (seen, unseen, seen):
        lost: Any = link
        run.lost(lost, "hung_up")
    assert sent_orders == [orders.TellAgain(7, ANN.thumbprint)]
