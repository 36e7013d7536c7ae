"""What a report of a worker means to a download whose pieces are asked of others."""

import asyncio
import errno

import pytest

from engine.coordinator.download.fetching import NOTHING_FOLLOWS, Fetching, OfFile, OfLink
from engine.coordinator.download.status import status_of
from engine.coordinator.peer_links import PeerLink
from engine.ipc import orders, reports
from engine.wire.messages import REREADING, Neighbour
from tests.engine.coordinator.conftest import PIECE_BYTES, PIECES, Scene

ALL = b"\xf0"
"""The bitfield of a peer that has all four pieces."""


def opened(scene: Scene, fetching: Fetching, user_id: str, bitfield: bytes = ALL) -> PeerLink:
    link = scene.link(user_id)
    fetching.handle(reports.ChannelOpened(link.link_id, scene.file_id, bitfield), link)
    return link


def asked(scene: Scene, fetching: Fetching, link: PeerLink) -> orders.Fetch:
    """The oldest request on this link that is not answered."""
    fetching.send_orders(0.0)
    under_way = {request.request_id for request in fetching.scheduler._leases.of_link(link.link_id)}
    return next(
        order for _, order in scene.pool.orders if isinstance(order, orders.Fetch) and order.request_id in under_way
    )


def verify(scene: Scene, fetching: Fetching, link: PeerLink) -> int:
    order = asked(scene, fetching, link)
    piece, request_id = order.candidates[0], order.request_id
    fetching.handle(reports.PieceGranted(link.link_id, scene.file_id, request_id, piece, 0.0), link)
    fetching.handle(reports.PieceVerified(link.link_id, scene.file_id, request_id, piece, 0.1), link)
    return piece


def test_every_report_about_a_file_has_a_handler() -> None:
    for kind in (*OfLink.__args__, *OfFile.__args__):
        assert callable(Fetching._handlers[kind])


async def test_before_the_workers_have_the_file_there_is_nothing_to_ask_anyone(scene: Scene) -> None:
    assert scene.download.fetching is None
    fetching = scene.download.begin_fetching()
    assert [type(order) for _, order in scene.pool.orders] == [orders.AddFile]
    scene.download.follow(scene.download)
    assert scene.download.fetching is None
    assert not fetching.has_links


async def test_a_verified_piece_is_counted_and_told_to_those_that_lack_it(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link = opened(scene, fetching, "ann")
    piece = verify(scene, fetching, link)
    fetching.send_orders(0.2)
    assert scene.download.store.shared.have.tolist() == [index == piece for index in range(PIECES)]
    assert scene.pool.kinds(orders.AnnouncePieces) == [
        orders.AnnouncePieces(scene.file_id, (piece,), (link.peer.thumbprint,))
    ]
    status = status_of(scene.download)
    assert (status.verified_bytes, status.bytes_by_peer) == (PIECE_BYTES, {"ann": PIECE_BYTES})
    assert not fetching.is_over


async def test_with_the_last_piece_the_course_is_woken(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link = opened(scene, fetching, "ann")
    for _ in range(PIECES):
        assert not fetching.stirred.is_set()
        verify(scene, fetching, link)
    fetching.send_orders(0.2)
    assert fetching.stirred.is_set()
    assert fetching.is_over
    assert fetching.failure is None


async def test_a_piece_that_does_not_match_bans_its_account_and_tells_its_server_which_it_was(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link, other = opened(scene, fetching, "ann"), opened(scene, fetching, "ann")
    order = asked(scene, fetching, link)
    piece = order.candidates[0]
    fetching.handle(reports.PieceGranted(link.link_id, scene.file_id, order.request_id, piece, 0.0), link)
    fetching.handle(reports.PieceMismatched(link.link_id, scene.file_id, order.request_id, piece), link)
    assert scene.pool.kinds(orders.SendMismatch) == [orders.SendMismatch(link.link_id, scene.file_id, piece)]
    assert [order.link_id for order in scene.pool.kinds(orders.EndLink) if isinstance(order, orders.EndLink)] == [
        other.link_id
    ]
    assert scene.download.peer_book.usable(0.0) == []
    assert [code for code, _ in scene.directory.notices] == ["bad_peer"]


async def test_bits_behind_the_last_piece_ban_an_account(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    opened(scene, fetching, "ann", b"\xff")
    assert not fetching.has_links
    assert [code for code, _ in scene.directory.notices] == ["bad_peer"]


async def test_a_have_that_is_of_no_use_now_has_nothing_follow(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link = opened(scene, fetching, "ann", b"\x80")
    news = reports.PeerHas(link.link_id, scene.file_id, (1,))
    assert fetching.handle(news, link) is not NOTHING_FOLLOWS
    assert fetching.handle(news, link) is NOTHING_FOLLOWS


async def test_a_peer_that_is_put_off_is_asked_again_when_it_says_and_not_before(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link = opened(scene, fetching, "ann")
    order = asked(scene, fetching, link)
    fetching.handle(reports.RequestRejected(link.link_id, scene.file_id, order.request_id, 1000.0), link)
    scene.pool.orders.clear()
    fetching.send_orders(asyncio.get_running_loop().time() + 1.0)
    assert scene.pool.kinds(orders.Fetch) == []


async def test_a_refused_ticket_is_replaced_and_shown_on_the_links_that_are_up(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link, other = opened(scene, fetching, "ann"), opened(scene, fetching, "bob")
    await fetching.links.refresh_ticket()
    fetching.handle(reports.ChannelRefused(link.link_id, scene.file_id, "old_ticket", ""), link)
    scene.pool.orders.clear()
    await asyncio.gather(*fetching.links._tasks._tasks)
    renewed = scene.pool.kinds(orders.RenewTicket)
    assert [order.link_id for order in renewed if isinstance(order, orders.RenewTicket)] in ([], [other.link_id])
    assert scene.file_id not in link.files


async def test_a_peer_that_rereads_its_copy_is_left_alone_for_a_moment_and_has_not_failed(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link = opened(scene, fetching, "ann")
    fetching.handle(reports.ChannelRefused(link.link_id, scene.file_id, REREADING, ""), link)
    now_s = asyncio.get_running_loop().time()
    assert scene.download.peer_book.usable(now_s) == []
    later_s = now_s + scene.services.settings.rereading_delay_s + 1.0
    assert scene.download.peer_book.usable(later_s) == [link.peer]


async def test_a_hint_that_opens_the_file_is_a_peer_from_then_on(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    ann = opened(scene, fetching, "ann")
    hint = scene.link("bob", is_hint=True)
    book = scene.download.peer_book
    neighbour = Neighbour(hint.peer.user_id, hint.peer.host, hint.peer.port, hint.peer.thumbprint)
    fetching.handle(reports.PeersNamed(ann.link_id, scene.file_id, (neighbour,)), ann)
    assert book.peer_exchange.next_to_try(book.peers, book.banned(0.0), 0.0) == [hint.peer]
    assert hint.peer.thumbprint not in book.peers
    fetching.handle(reports.ChannelOpened(hint.link_id, scene.file_id, ALL), hint)
    assert book.peers[hint.peer.thumbprint] == hint.peer


@pytest.mark.parametrize(
    "report", [reports.WriteFailed(7, errno.EIO), reports.FileUnreadable(7, errno.EIO, "it is unreadable")]
)
async def test_a_part_file_that_fails_ends_the_fetching(scene: Scene, report: OfFile) -> None:
    fetching = scene.download.begin_fetching()
    fetching.handle(report, None)
    assert fetching.is_over
    assert str(scene.download.store.part) in str(fetching.failure)


async def test_of_two_failures_the_first_counts(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    scene.download.store.part.unlink()
    fetching.handle(reports.FileUnreadable(7, errno.EIO, ""), None)
    fetching.handle(reports.WriteFailed(7, errno.EIO), None)
    assert "deleted" in str(fetching.failure)


async def test_after_the_end_the_file_is_open_on_no_link_and_none_is_made(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    link = opened(scene, fetching, "ann")
    await fetching.links.refresh_ticket()
    fetching.close()
    fetching.close()
    assert scene.pool.kinds(orders.CloseChannel) == [orders.CloseChannel(link.link_id, scene.file_id)]
    scene.pool.orders.clear()
    fetching.connect()
    assert (link.files, scene.pool.orders) == (set(), [])


async def test_a_new_worker_is_given_the_file_and_links(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    scene.download.peer_book.meet(scene.link("ann", is_up=False).peer)
    await fetching.links.refresh_ticket()
    scene.pool.orders.clear()
    fetching.worker_born(1)
    assert [(worker, type(order)) for worker, order in scene.pool.orders] == [(1, orders.AddFile), (1, orders.Dial)]


async def test_it_waits_once_nobody_has_anything_to_give(scene: Scene) -> None:
    fetching = scene.download.begin_fetching()
    now_s = asyncio.get_running_loop().time()
    fetching.tick(now_s + 1.0)
    states = [scene.download.state]
    fetching.tick(now_s + 5.0)
    states.append(scene.download.state)
    opened(scene, fetching, "ann")
    fetching.send_orders(now_s + 5.0)
    fetching.tick(now_s + 5.1)
    assert [*states, scene.download.state] == ["downloading", "waiting", "downloading"]
