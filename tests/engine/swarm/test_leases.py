"""Requests and the pieces they keep from others."""

import itertools

from engine.swarm.leases import Leases


def fresh() -> Leases:
    return Leases(itertools.count(10))


def test_a_request_keeps_all_its_candidates_until_one_is_granted() -> None:
    leases = fresh()
    request = leases.ask(1, (4, 5, 6), 0.0)
    assert list(request.pieces) == [4, 5, 6]
    assert leases.grant(request, 5, 0.5) == [4, 6]
    assert list(request.pieces) == [5]
    assert request.granted_at_s == 0.5


def test_an_ended_request_gives_back_what_it_held_and_is_forgotten() -> None:
    leases = fresh()
    asked, granted = leases.ask(1, (4, 5), 0.0), leases.ask(1, (6, 7), 0.0)
    leases.grant(granted, 7, 0.1)
    assert leases.end(asked) == (4, 5)
    assert leases.end(granted) == (7,)
    assert leases.find(asked.request_id) is leases.find(granted.request_id) is None
    assert len(leases) == 0
    assert leases.of_link(1) == []


def test_a_lost_link_gives_back_its_own_pieces_only() -> None:
    leases = fresh()
    first, other, second = leases.ask(1, (0, 1), 0.0), leases.ask(2, (2,), 0.0), leases.ask(1, (3, 4), 0.0)
    leases.grant(first, 1, 0.1)
    held = [piece for request in leases.of_all(1) for piece in leases.end(request)]
    assert sorted(held) == [1, 3, 4]
    assert list(leases) == [other]
    assert leases.find(second.request_id) is None
    assert leases.of_all(1) == []


def test_a_twin_holds_its_piece_only_once_the_other_is_gone() -> None:
    leases = fresh()
    first = leases.ask(1, (4,), 0.0)
    leases.grant(first, 4, 0.1)
    twin = leases.ask_twin(2, first, 0.2)
    assert (list(first.pieces), list(twin.pieces)) == ([4], [])
    assert leases.end(first) == ()
    assert list(twin.pieces) == [4]
    assert leases.end(twin) == (4,)


def test_a_twin_that_ends_first_leaves_the_piece_where_it_was() -> None:
    leases = fresh()
    first = leases.ask(1, (4,), 0.0)
    leases.grant(first, 4, 0.1)
    assert leases.end(leases.ask_twin(2, first, 0.2)) == ()
    assert leases.end(first) == (4,)


def test_requests_of_a_link_stand_oldest_first_and_have_ids_of_their_own() -> None:
    leases = fresh()
    requests = [leases.ask(link, (link,), 0.0) for link in (1, 2, 1, 1)]
    assert leases.of_link(1) == [requests[0], requests[2], requests[3]]
    assert [request.request_id for request in requests] == [10, 11, 12, 13]


def test_only_a_request_to_a_link_that_had_none_is_from_idle() -> None:
    leases = fresh()
    first, second = leases.ask(1, (0,), 0.0), leases.ask(1, (1,), 0.0)
    leases.end(first)
    third = leases.ask(1, (2,), 0.0)
    leases.end(second)
    leases.end(third)
    fourth = leases.ask(1, (3,), 0.0)
    assert [r.is_from_idle for r in (first, second, third, fourth)] == [True, False, False, True]
