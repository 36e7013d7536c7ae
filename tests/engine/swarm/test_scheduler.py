"""The scheduler in virtual time: whatever links do, no piece is asked for twice, and all that can be had is had."""

import functools
import itertools
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.settings import Settings
from engine.swarm.actions import Ask, Revoke
from engine.swarm.scheduler import REFUSED_S, Scheduler
from tests.engine.swarm.virtual_download import SILENCE_S, VirtualDownload
from tests.testkit.builders import bitfield_of, bounded, geometry_of

seeds = st.integers(0, 2**32)
MIB = 1 << 20


def random_link(download: VirtualDownload) -> None:
    """One more link, anything from a modem to a data centre, perhaps gaining pieces, failing or falling silent."""
    rng, piece_count = download.rng, download.geometry.piece_count
    share = rng.choice([0.0, 0.3, 0.7, 1.0])
    link = download.connect(
        [piece for piece in range(piece_count) if rng.random() < share],
        rate=10 ** rng.uniform(5, 9),
        round_trip_s=10 ** rng.uniform(-4, -0.5),
    )
    link.rejects = rng.choice([0, 0, 0, 3])
    link.puts_off = rng.choice([0, 0, 0, 3])
    download.bad_wholes = rng.choice([0, 0, 1])
    for _ in range(rng.randrange(4)):
        gained = [piece for piece in range(piece_count) if rng.random() < 0.3]
        download.at(10 ** rng.uniform(-3, 1), functools.partial(download.gain, link, gained))
    fate = rng.random()
    if fate < 0.2:
        download.at(10 ** rng.uniform(-3, 1), lambda: download.lose(link))
    elif fate < 0.35:
        download.at(10 ** rng.uniform(-3, 1), lambda: setattr(link, "is_stalled", True))


@given(
    seed=seeds, piece_count=st.integers(1, 60), link_count=st.integers(1, 9), piece_bytes=st.sampled_from([18, 20, 22])
)
@bounded(150)
def test_whatever_links_do_every_promise_holds_and_what_can_be_had_is_had(
    seed: int, piece_count: int, link_count: int, piece_bytes: int
) -> None:
    rng = random.Random(seed)
    had = [piece for piece in range(piece_count) if rng.random() < 0.2]
    geometry = geometry_of(piece_count, rng.randrange(1, 1 << piece_bytes), 1 << piece_bytes)
    download = VirtualDownload(geometry, seed, had)
    for _ in range(link_count):
        download.at(rng.choice([0.0, 0.0, 10 ** rng.uniform(-3, 1)]), lambda: random_link(download))
    download.run(is_patient=True)
    assert not download.reachable


@given(seed=seeds)
@bounded(20)
def test_one_healthy_seeder_is_enough_among_peers_that_stall_and_die(seed: int) -> None:
    download = VirtualDownload(geometry_of(40), seed)
    for _ in range(6):
        random_link(download)
    download.connect(range(40))
    download.run()
    assert download.scheduler.is_complete
    assert download.scheduler.next_actions(download.now_s) == []


@given(seed=seeds, pieces_in_flight=st.integers(1, 12), requests_per_link=st.integers(1, 4))
@bounded(30)
def test_a_link_never_owes_more_than_its_share(seed: int, pieces_in_flight: int, requests_per_link: int) -> None:
    settings = replace(Settings(), pieces_in_flight=pieces_in_flight, requests_per_link=requests_per_link)
    download = VirtualDownload(geometry_of(50), seed, settings=settings)
    links = [download.connect(range(50), rate=1e9, round_trip_s=0.3), download.connect(range(50))]
    download.run()
    assert download.scheduler.is_complete
    assert max(link.in_flight_max for link in links) <= requests_per_link


def scheduler_of(piece_count: int, settings: Settings | None = None) -> Scheduler:
    geometry = geometry_of(piece_count)
    have = np.zeros(piece_count, np.uint8)
    return Scheduler(geometry, have, settings or Settings(), random.Random(1), itertools.count(1))


def asks_of(scheduler: Scheduler, now_s: float) -> list[Ask]:
    return [action for action in scheduler.next_actions(now_s) if isinstance(action, Ask)]


def measured_link(scheduler: Scheduler, link: int, piece_count: int) -> None:
    """A complete peer that has brought something before."""
    scheduler.link_opened(link, bitfield_of(piece_count, range(piece_count)))
    scheduler._links[link].window.rate_bytes_per_s = 1e6


def test_a_have_is_of_use_when_it_says_who_has_what_nobody_was_asked_for() -> None:
    scheduler = scheduler_of(20)
    scheduler.link_opened(1, bitfield_of(20, [0]))
    scheduler.link_opened(2, bitfield_of(20, [0]))
    assert [ask.candidates for ask in asks_of(scheduler, 1.0)] == [(0,)]
    assert not scheduler.link_has(2, [0])
    assert scheduler.link_has(2, [0, 1])
    assert not scheduler.link_has(3, [2])


def test_a_have_is_of_use_when_everybody_was_asked_for_everything_since_it_may_be_taken_over() -> None:
    scheduler = scheduler_of(1)
    scheduler.link_opened(1, bitfield_of(1, [0]))
    scheduler.link_opened(2, bitfield_of(1, []))
    asks_of(scheduler, 1.0)
    assert scheduler.link_has(2, [0])


def test_a_peer_is_seen_to_have_what_it_said_and_nothing_once_its_link_is_gone() -> None:
    scheduler = scheduler_of(20)
    scheduler.link_opened(1, bitfield_of(20, [0, 1]))
    scheduler.link_has(1, [2])
    assert scheduler.is_seen_to_have(1, (0, 2))
    assert not scheduler.is_seen_to_have(1, (0, 3))
    scheduler.link_lost(1)
    assert not scheduler.is_seen_to_have(1, (0,))


def test_a_link_that_has_brought_nothing_yet_is_asked_for_one_piece() -> None:
    scheduler = scheduler_of(1000)
    scheduler.link_opened(1, bitfield_of(1000, range(1000)))
    (ask,) = asks_of(scheduler, 1.0)
    scheduler.granted(ask.request_id, ask.candidates[0], 1.1)
    scheduler.verified(ask.request_id, 1.2)
    assert len(asks_of(scheduler, 1.2)) == Settings().pieces_in_flight


def test_every_link_has_one_request_before_any_has_two() -> None:
    scheduler = scheduler_of(1000)
    for link in range(1, 6):
        measured_link(scheduler, link, 1000)
    asked = [ask.link for ask in asks_of(scheduler, 1.0)]
    assert sorted(asked[:5]) == [1, 2, 3, 4, 5]
    assert len(asked) == Settings().pieces_in_flight
    assert max(asked.count(link) for link in range(1, 6)) == 2


def test_more_links_than_the_bound_have_one_request_each() -> None:
    scheduler = scheduler_of(1000)
    for link in range(20):
        scheduler.link_opened(link, bitfield_of(1000, range(1000)))
    assert sorted(ask.link for ask in asks_of(scheduler, 1.0)) == list(range(20))


def test_a_request_names_a_few_candidates_the_rarest_ones() -> None:
    scheduler = scheduler_of(1000, replace(Settings(), pieces_in_flight=1))
    scheduler.link_opened(1, bitfield_of(1000, range(1000)))
    scheduler.link_opened(2, bitfield_of(1000, range(8, 1000)))
    first = asks_of(scheduler, 1.0)[0]
    if first.link == 1:
        assert set(first.candidates) == set(range(8))


def test_near_the_end_every_link_still_finds_something() -> None:
    scheduler = scheduler_of(4)
    for link in (1, 2, 3, 4):
        scheduler.link_opened(link, bitfield_of(4, range(4)))
    asks = asks_of(scheduler, 1.0)
    assert sorted(ask.link for ask in asks) == [1, 2, 3, 4]
    assert sorted(piece for ask in asks for piece in ask.candidates) == [0, 1, 2, 3]


def test_candidates_that_were_not_chosen_are_free_again_at_once() -> None:
    scheduler = scheduler_of(20, replace(Settings(), pieces_in_flight=1))
    scheduler.link_opened(1, bitfield_of(20, range(16)))
    (ask,) = asks_of(scheduler, 1.0)
    assert len(ask.candidates) == 8
    scheduler.granted(ask.request_id, ask.candidates[3], 1.1)
    scheduler.link_opened(2, bitfield_of(20, ask.candidates))
    (other,) = asks_of(scheduler, 1.1)
    assert ask.candidates[3] not in other.candidates
    assert set(other.candidates) <= set(ask.candidates)


def test_a_long_fat_link_is_filled_beyond_the_bound() -> None:
    download = VirtualDownload(geometry_of(400), seed=1)
    link = download.connect(range(400), rate=100 * MIB, round_trip_s=0.1)
    download.run()
    # 2 · 100 MiB/s · 0.1 s are 80 pieces of 256 KiB
    assert 40 < link.in_flight_max <= 90


def test_a_near_link_is_not_flooded() -> None:
    download = VirtualDownload(geometry_of(400), seed=1)
    link = download.connect(range(400), rate=100 * MIB, round_trip_s=0.0002)
    download.run()
    assert link.in_flight_max <= Settings().pieces_in_flight


def test_waiting_behind_other_requests_does_not_count_as_round_trip() -> None:
    scheduler = scheduler_of(100)
    measured_link(scheduler, 1, 100)
    asks = asks_of(scheduler, 1.0)
    assert len(asks) == 8
    for position, ask in enumerate(asks):
        scheduler.granted(ask.request_id, ask.candidates[0], 1.01 + position)
        scheduler.verified(ask.request_id, 1.9 + position)
    assert abs(scheduler._links[1].window.round_trip_s - 0.01) < 1e-9


def test_late_news_about_ended_requests_mean_nothing() -> None:
    scheduler = scheduler_of(8)
    scheduler.link_opened(1, bitfield_of(8, range(8)))
    (ask, *_) = asks_of(scheduler, 1.0)
    scheduler.link_lost(1)
    scheduler.granted(ask.request_id, ask.candidates[0], 1.1)
    assert scheduler.verified(ask.request_id, 1.2) is None
    scheduler.refused(ask.request_id, 1.2)
    scheduler.revoked(ask.request_id)
    scheduler.link_lost(1)
    scheduler.link_has(1, [3])
    assert scheduler.missing_count == 8
    assert scheduler._picker.free_count == 8


def test_what_only_a_complete_peer_has_is_asked_of_it_and_more_is_named() -> None:
    scheduler = scheduler_of(1000)
    scheduler.link_opened(1, bitfield_of(1000, range(1000)))
    for link in range(2, 10):
        scheduler.link_opened(link, bitfield_of(1000, range(900)))
    of_complete = next(ask for ask in asks_of(scheduler, 1.0) if ask.link == 1)
    assert len(of_complete.candidates) == Settings().candidates_of_complete
    assert min(of_complete.candidates) >= 900


def test_a_complete_peer_is_spared_while_others_have_all_that_is_missing() -> None:
    scheduler = scheduler_of(1000, replace(Settings(), pieces_in_flight=2))
    scheduler.link_opened(1, bitfield_of(1000, range(1000)))
    scheduler.link_opened(2, bitfield_of(1000, range(500)))
    scheduler.link_opened(3, bitfield_of(1000, range(500, 1000)))
    assert [ask.link for ask in asks_of(scheduler, 1.0)][-1] == 1


def test_a_link_that_has_nothing_for_us_keeps_the_others_at_one_request() -> None:
    """At the start of a swarm only the origin has anything: what stands in its queue is kept from everybody else."""
    scheduler = scheduler_of(1000)
    scheduler.link_opened(1, bitfield_of(1000, range(1000)))
    scheduler.link_opened(2, bitfield_of(1000, []))
    assert [ask.link for ask in asks_of(scheduler, 1.0)] == [1]


def test_an_idle_link_much_faster_than_a_holder_steals_from_it_in_the_endgame() -> None:
    download = VirtualDownload(geometry_of(12), seed=3)
    slow = download.connect(range(12), rate=0.05 * MIB)
    download.connect(range(12), rate=50 * MIB)
    download.run()
    assert download.scheduler.is_complete
    assert download.revoked_count
    assert download.now_s < 1.0 + 0.25 / 0.05  # sooner than the slow one needs for its first piece
    assert slow.asked_for


def test_an_idle_link_of_the_same_speed_steals_nothing() -> None:
    download = VirtualDownload(geometry_of(40), seed=3)
    for _ in range(4):
        download.connect(range(40), rate=10 * MIB)
    download.run()
    assert download.scheduler.is_complete
    assert download.revoked_count == 0


@pytest.mark.parametrize(("advantage", "steals"), [(1.4, False), (1.6, True)])
def test_a_thief_must_be_half_as_quick_again(advantage: float, steals: bool) -> None:
    scheduler = scheduler_of(1)
    scheduler.link_opened(1, bitfield_of(1, [0]))
    assert len(asks_of(scheduler, 1.0)) == 1
    scheduler.link_opened(2, bitfield_of(1, [0]))
    scheduler._links[1].window.rate_bytes_per_s = 1e6
    scheduler._links[2].window.rate_bytes_per_s = 1e6 * advantage
    assert [type(action) for action in scheduler.next_actions(1.0)] == [Revoke] * steals


def test_an_overdue_piece_is_stolen_by_a_link_of_the_same_speed() -> None:
    scheduler = scheduler_of(1)
    scheduler.link_opened(1, bitfield_of(1, [0]))
    assert len(asks_of(scheduler, 1.0)) == 1
    scheduler.link_opened(2, bitfield_of(1, [0]))
    for link in (1, 2):
        scheduler._links[link].window.rate_bytes_per_s = scheduler._geometry.piece_bytes  # a piece a second
    assert scheduler.next_actions(2.1) == []
    assert [type(action) for action in scheduler.next_actions(4.0)] == [Revoke]


def test_a_link_that_lacks_the_piece_steals_nothing() -> None:
    scheduler = scheduler_of(2)
    scheduler.link_opened(1, bitfield_of(2, [0]))
    assert len(asks_of(scheduler, 1.0)) == 1
    scheduler.link_opened(2, bitfield_of(2, []))
    scheduler._links[2].window.rate_bytes_per_s = 1e9
    scheduler._links[1].window.rate_bytes_per_s = 1e3
    assert scheduler.next_actions(1.1) == []


def test_each_idle_link_has_one_request_taken_back_for_it_however_often_we_ask() -> None:
    scheduler = scheduler_of(4)
    measured_link(scheduler, 1, 4)
    assert len(asks_of(scheduler, 1.0)) == 4
    scheduler.link_opened(2, bitfield_of(4, range(4)))
    scheduler._links[2].window.rate_bytes_per_s = 1e9
    scheduler._links[1].window.rate_bytes_per_s = 1e5
    assert [type(action) for action in scheduler.next_actions(1.1)] == [Revoke]
    assert scheduler.next_actions(1.1) == []
    assert scheduler.next_actions(1.2) == []


def test_a_stolen_piece_is_asked_of_the_thief_and_not_of_the_old_holder() -> None:
    scheduler = scheduler_of(1)
    scheduler.link_opened(1, bitfield_of(1, [0]))
    (ask,) = asks_of(scheduler, 1.0)
    scheduler.link_opened(2, bitfield_of(1, [0]))
    scheduler._links[2].window.rate_bytes_per_s = 1e9
    scheduler._links[1].window.rate_bytes_per_s = 1e3
    assert scheduler.next_actions(1.1) == [Revoke(ask.request_id, 1)]
    assert scheduler._picker.free_count == 0  # not before the old holder's worker has let go
    scheduler.revoked(ask.request_id)
    (again,) = asks_of(scheduler, 1.1)
    assert (again.link, again.candidates) == (2, (0,))


def test_a_piece_is_asked_again_of_the_link_it_was_taken_from_when_nobody_else_can() -> None:
    scheduler = scheduler_of(1)
    scheduler.link_opened(1, bitfield_of(1, [0]))
    (ask,) = asks_of(scheduler, 1.0)
    scheduler.refused(ask.request_id, 1.0)
    assert asks_of(scheduler, 1.1) == []  # not at once, or the two would do nothing else
    (again,) = asks_of(scheduler, 1.0 + REFUSED_S)
    assert again.link == 1
    assert again.request_id != ask.request_id


def test_a_link_that_puts_us_off_is_left_alone_so_long_and_others_are_asked_instead() -> None:
    scheduler = scheduler_of(1)
    scheduler.link_opened(1, bitfield_of(1, [0]))
    (ask,) = asks_of(scheduler, 1.0)
    scheduler.put_off(ask.request_id, 1.3)
    assert asks_of(scheduler, 1.2) == []
    scheduler.link_opened(2, bitfield_of(1, [0]))
    (instead,) = asks_of(scheduler, 1.2)
    assert (instead.link, instead.candidates) == (2, (0,))
    scheduler.link_lost(2)
    assert asks_of(scheduler, 1.2) == []
    (again,) = asks_of(scheduler, 1.3)
    assert again.link == 1


def test_a_stalled_holder_does_not_hold_up_completion_once_another_link_is_idle() -> None:
    download = VirtualDownload(geometry_of(40), seed=5)
    stalled = download.connect(range(40), rate=10 * MIB)
    download.connect(range(40), rate=10 * MIB)
    download.at(0.2, lambda: setattr(stalled, "is_stalled", True))
    download.run()
    assert download.scheduler.is_complete
    assert stalled.link_id in download.links  # it was not even noticed as silent
    assert download.now_s < 1.0 + SILENCE_S / 2
