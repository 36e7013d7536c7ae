"""What comes of a peer's word on other peers, however much it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.coordinator.download.peer_exchange import (
    DIALS_MAX,
    DISTRUST_S,
    DISTRUSTED_MAX,
    HINTS_PER_PEER,
    PAUSE_S_MIN,
    PEERS_HEARD,
    PeerExchange,
)
from engine.coordinator.peer_links import PeerAddress
from engine.wire.messages import Neighbour

ANN = PeerAddress("ann", "192.0.2.1", 7001, b"a" * 32)


def neighbour(number: int, host: str = "") -> Neighbour:
    return Neighbour(f"user{number}", host or f"198.51.100.{number % 256}", 1 + number, number.to_bytes(32, "big"))


def talker(number: int) -> PeerAddress:
    return PeerAddress("eve", "192.0.2.9", 1 + number, b"e" * 28 + number.to_bytes(4, "big"))


def test_a_hint_is_tried_once_at_a_time_and_not_at_all_if_it_is_known() -> None:
    peer_exchange = PeerExchange()
    peer_exchange.heard(ANN, [neighbour(1), neighbour(2)], 0.0)
    known = {neighbour(1).thumbprint}
    assert [each.user_id for each in peer_exchange.next_to_try(known, (), 0.0)] == ["user2"]
    assert peer_exchange.next_to_try(known, (), 0.0) == []


def test_an_account_that_was_shut_out_does_not_come_back_under_another_key() -> None:
    peer_exchange = PeerExchange()
    peer_exchange.heard(ANN, [neighbour(1), neighbour(2)], 0.0)
    assert [each.user_id for each in peer_exchange.next_to_try((), {"user1"}, 0.0)] == ["user2"]


def test_an_address_that_did_not_keep_its_promise_is_left_alone_whoever_names_it() -> None:
    peer_exchange = PeerExchange()
    peer_exchange.heard(ANN, [neighbour(1)], 0.0)
    (tried,) = peer_exchange.next_to_try((), (), 0.0)
    peer_exchange.failed(tried, 1.0)
    peer_exchange.heard(talker(1), [neighbour(1)], 2.0)
    assert peer_exchange.next_to_try((), (), 1.0 + DISTRUST_S - 0.1) == []
    assert peer_exchange.next_to_try((), (), 1.0 + DISTRUST_S) == [tried]


def test_what_happens_to_a_peer_that_was_no_hint_says_nothing() -> None:
    peer_exchange = PeerExchange()
    peer_exchange.failed(ANN, 0.0)
    peer_exchange.heard(talker(1), [Neighbour(ANN.user_id, ANN.host, ANN.port, ANN.thumbprint)], 0.0)
    assert peer_exchange.next_to_try((), (), 0.0) == [ANN]
    assert peer_exchange.proved(ANN)
    assert not peer_exchange.proved(ANN)


def test_the_newest_word_of_a_peer_counts_and_not_one_in_between() -> None:
    peer_exchange = PeerExchange()
    peer_exchange.heard(ANN, [neighbour(1)], 0.0)
    peer_exchange.heard(ANN, [neighbour(2)], PAUSE_S_MIN / 2)
    peer_exchange.heard(ANN, [neighbour(3)], PAUSE_S_MIN)
    assert [each.user_id for each in peer_exchange.next_to_try((), (), 1.0)] == ["user3"]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "255.255.255.255"])
def test_no_peer_from_elsewhere_has_this_machine_or_everybody_dialled(host: str) -> None:
    peer_exchange = PeerExchange()
    peer_exchange.heard(ANN, [neighbour(1, host)], 0.0)
    assert peer_exchange.next_to_try((), (), 0.0) == []


def test_peers_of_one_machine_may_name_each_other() -> None:
    peer_exchange = PeerExchange()
    peer_exchange.heard(PeerAddress("ann", "127.0.0.1", 7001, b"a" * 32), [neighbour(1, "127.0.0.1")], 0.0)
    assert len(peer_exchange.next_to_try((), (), 0.0)) == 1


@given(st.lists(st.tuples(st.integers(0, 30), st.lists(st.integers(0, 60000), min_size=1, max_size=8)), max_size=60))
def test_whatever_is_said_hints_dials_and_what_is_remembered_stay_bounded(said: list[tuple[int, list[int]]]) -> None:
    peer_exchange, now_s = PeerExchange(), 0.0
    trying: list[PeerAddress] = []
    for who, named in said:
        now_s += PAUSE_S_MIN
        peer_exchange.heard(talker(who), [neighbour(number) for number in named], now_s)
        trying += peer_exchange.next_to_try((), (), now_s)
        assert len(trying) <= DIALS_MAX
        if len(trying) == DIALS_MAX:
            peer_exchange.failed(trying.pop(0), now_s)
        assert len(peer_exchange._hints) <= PEERS_HEARD
        assert all(len(hints) <= HINTS_PER_PEER for _, hints in peer_exchange._hints.values())
        assert len(peer_exchange._distrusted_until_s) <= DISTRUSTED_MAX
