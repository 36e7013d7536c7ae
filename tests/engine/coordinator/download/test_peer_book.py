"""Whom a download may ask, and what it says when nothing comes."""

from typing import get_args

from engine.coordinator.download import peer_book
from engine.coordinator.download.peer_book import PARDONS_MAX, TRIED_MAX, PeerBook
from engine.coordinator.peer_links import PeerAddress
from engine.errors import Cause

ANN = PeerAddress("ann", "192.0.2.1", 7001, b"a" * 32)
BOB = PeerAddress("bob", "2001:db8::1", 7002, b"b" * 32)


def book_of(*peers: PeerAddress) -> PeerBook:
    book = PeerBook()
    book.named(peers, [])
    return book


def explained(book: PeerBook, now_s: float, opened: tuple[bytes, ...] = ()) -> str:
    return book.explain("f.bin", book.waiting_for(opened, now_s))


def test_every_cause_of_a_lost_link_has_its_words() -> None:
    assert set(get_args(Cause)) | set(peer_book._REFUSALS.values()) <= peer_book._CAUSES.keys()


def test_nobody_has_it_is_said_only_if_a_tracker_named_nobody() -> None:
    book = PeerBook()
    assert "are being asked" in explained(book, 0.0)
    book.trouble = "no tracker answers"
    assert explained(book, 0.0) == "who has f.bin cannot be found out: no tracker answers"
    book.named([], [])
    assert book.is_alone
    assert explained(book, 0.0).startswith("nobody online has f.bin yet")
    book.named([ANN], [])
    assert not book.is_alone
    assert "nobody online" not in explained(book, 0.0)


def test_whom_it_tried_where_how_often_and_what_came_of_it() -> None:
    book = book_of(ANN, BOB)
    for at_s in (1.0, 5.0, 9.0):
        book.trying(ANN, at_s)
        book.trying(ANN, at_s)  # both workers at once: one try
        book.failed(ANN, "timed_out", at_s + 1)
        book.failed(ANN, "timed_out", at_s + 1)
    book.trying(BOB, 8.0)
    ann, bob = book.waiting_for((), 11.0)
    assert (ann.user_id, ann.host, ann.port, ann.tries, ann.cause, ann.since_s) == (
        "ann", "192.0.2.1", 7001, 3, "timed_out", 10.0,
    )  # fmt: skip
    assert (bob.user_id, bob.tries, bob.cause, bob.since_s) == ("bob", 1, "dialling", 3.0)
    sentence = explained(book, 11.0)
    assert "ann at 192.0.2.1:7001: no answer; a firewall or router may be in between (tried 3 times)" in sentence
    assert "bob at [2001:db8::1]:7002: no answer yet" in sentence


def test_whoever_gives_the_file_is_not_waited_for_and_counts_anew() -> None:
    book = book_of(ANN)
    book.trying(ANN, 0.0)
    book.failed(ANN, "refused", 1.0)
    book.trying(ANN, 2.0)
    book.reached(ANN)
    assert [each.cause for each in book.waiting_for((ANN.thumbprint,), 3.0)] == ["nothing_new"]
    book.failed(ANN, "hung_up", 4.0)
    (ann,) = book.waiting_for((), 6.0)
    assert (ann.tries, ann.cause, ann.since_s) == (1, "hung_up", 2.0)


def test_a_refusal_in_words_of_the_peers_own_is_one_that_is_known() -> None:
    book = book_of(ANN)
    for code, cause in (("old_ticket", "ticket_refused"), ("closed", "not_shared"), ("\x1b[2J", "not_shared")):
        book.trying(ANN, 0.0)
        book.refused(ANN, code, 0.0)
        assert book.waiting_for((), 0.0)[0].cause == cause


def test_an_account_that_is_shut_out_is_named_as_such() -> None:
    book = book_of(ANN)
    book._banned_until_s["ann"] = 10.0
    assert book.waiting_for((), 5.0)[0].cause == "shut_out"
    assert book.waiting_for((), 15.0)[0].cause == "dialling"


def test_who_is_not_named_any_more_or_moved_is_forgotten() -> None:
    book = book_of(ANN)
    book.trying(ANN, 0.0)
    book.failed(ANN, "refused", 0.0)
    elsewhere = PeerAddress("ann", "192.0.2.9", 7001, ANN.thumbprint)
    book.meet(elsewhere)
    assert [(each.host, each.tries) for each in book.waiting_for((), 1.0)] == [("192.0.2.9", 0)]
    book.named([], [])
    assert book.waiting_for((), 1.0) == ()


def test_a_peers_hints_are_nobody_to_wait_for() -> None:
    book = book_of(ANN)
    book.trying(BOB, 0.0)
    book.failed(BOB, "refused", 0.0)
    assert [each.user_id for each in book.waiting_for((), 0.0)] == ["ann"]


def test_what_is_remembered_is_bounded() -> None:
    peers = [PeerAddress("x", "192.0.2.1", number, number.to_bytes(32, "big")) for number in range(1, TRIED_MAX + 50)]
    book = book_of(*peers)
    for peer in peers:
        book.trying(peer, 0.0)
    assert len(book._tries) == TRIED_MAX
    assert explained(book, 0.0).count("192.0.2.1") == peer_book._SAID_MAX


def test_who_rereads_its_copy_stays_known_and_is_said_to() -> None:
    book = book_of(ANN, BOB)
    for peer, code in ((ANN, "rereading"), (BOB, "not_shared")):
        book.trying(peer, 0.0)
        book.refused(peer, code, 1.0)
    book.named([], [])  # the trackers do not hand it out while it serves nothing
    assert list(book.peers.values()) == [ANN]
    assert "reads its copy again" in explained(book, 2.0)
    book.reached(ANN)
    book.named([], [])
    assert book.peers == {}


def test_an_account_that_owns_up_to_a_wrong_piece_is_pardoned_so_often_and_no_more() -> None:
    book = book_of(ANN)
    assert not book.pardon("ann"), "nothing is held against it"
    for _ in range(PARDONS_MAX):
        book._banned_until_s["ann"] = 300.0
        assert book.usable(1.0) == []
        assert book.pardon("ann")
        assert book.usable(1.0) == [ANN]
    book._banned_until_s["ann"] = 300.0
    assert not book.pardon("ann")
    assert book.usable(1.0) == []
