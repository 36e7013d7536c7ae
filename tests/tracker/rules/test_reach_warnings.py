"""A sharer hears that others get nothing from it: when that lasts, and once an hour."""

import pytest

from tests.tracker.conftest import Office, Person
from tests.tracker.service.test_dispatch import a_file, announce, share
from tracker.protocol import events, requests, tickets
from tracker.protocol.addresses import is_elsewhere
from tracker.rules.reach_warnings import ReachWarnings
from tracker.settings import PEER_REPORT_LIFE_S, WARN_AFTER_S, WARN_AGAIN_S, WARNED_PLACES_MAX

HOME = ("ann", "192.0.2.1", 7001)


def test_it_is_told_when_the_reports_last() -> None:
    warnings = ReachWarnings()
    assert not warnings.is_due(HOME, 0.0)
    assert not warnings.is_due(HOME, WARN_AFTER_S - 1)
    assert warnings.is_due(HOME, WARN_AFTER_S)


def test_it_is_told_once_an_hour_however_often_it_is_reported() -> None:
    warnings = ReachWarnings()
    told = [now_s for now_s in range(0, int(2.5 * WARN_AGAIN_S), 5) if warnings.is_due(HOME, float(now_s))]
    assert told == [WARN_AFTER_S, WARN_AFTER_S + WARN_AGAIN_S, WARN_AFTER_S + 2 * WARN_AGAIN_S]


def test_two_passing_failures_are_no_lasting_one() -> None:
    warnings = ReachWarnings()
    warnings.is_due(HOME, 0.0)
    assert not warnings.is_due(HOME, PEER_REPORT_LIFE_S + 1)
    warnings.is_well(HOME)
    assert not warnings.is_due(HOME, PEER_REPORT_LIFE_S + 1 + WARN_AFTER_S)


def test_what_is_remembered_is_bounded() -> None:
    warnings = ReachWarnings()
    for port in range(2 * WARNED_PLACES_MAX):
        warnings.is_due(("ann", "192.0.2.1", port), 0.0)
        warnings.is_due(("ann", "192.0.2.1", port), WARN_AFTER_S)
    assert len(warnings._reported) == len(warnings._warned_at_s) == WARNED_PLACES_MAX


@pytest.mark.parametrize(
    ("announced", "reachable", "is_one"),
    [
        ("127.0.0.1", "203.0.113.5", True),
        ("192.168.1.5", "203.0.113.5", True),
        ("203.0.113.5", "203.0.113.5", False),
        ("::ffff:203.0.113.5", "203.0.113.5", False),
        ("0.0.0.0", "203.0.113.5", False),
        ("::", "203.0.113.5", False),
        ("somewhere", "203.0.113.5", False),
    ],
)
def test_a_client_is_elsewhere_if_it_names_one_address_and_is_seen_at_another(
    announced: str, reachable: str, is_one: bool
) -> None:
    assert is_elsewhere(announced, reachable) is is_one


def told(person: Person) -> list[events.OutOfReach]:
    return [event for event in person.events if isinstance(event, events.OutOfReach)]


async def test_whoever_shares_hears_how_many_get_nothing_from_it_and_at_which_address(office: Office) -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await ann.ask(a_file("lab", "data"))
    await ann.ask(announce(share("lab")))
    assert [(event.host, event.members) for event in told(ann)] == [("192.0.2.1", 0)]  # it said another address
    ann.events.clear()
    unreached = requests.FindPeers("lab", bytes(32), 5, [tickets.thumbprint_of(ann.public_key)], [])
    for _ in range(20):
        for fetcher in (bob, cy):
            await fetcher.ask(unreached)
        office.clock.now_s += 1
    (event,) = told(ann)
    assert (event.host, event.members) == ("192.0.2.1", 2)
    assert not told(bob) + told(cy)


async def test_nobody_makes_a_client_hear_that_of_itself_or_of_strangers(office: Office) -> None:
    ann, eve = await office.gather("lab", "ann", "eve")
    other = await office.enter("other")
    await ann.ask(a_file("lab", "data"))
    await ann.ask(announce(share("lab")))
    ann.events.clear()
    for fetcher, failed in ((ann, ann), (other, ann), (eve, other)):
        for _ in range(3):
            thumbprint = tickets.thumbprint_of(failed.public_key)
            await fetcher.ask(requests.FindPeers("lab", bytes(32), 5, [thumbprint], []))
            office.clock.now_s += WARN_AFTER_S
    assert not told(ann) + told(eve) + told(other)
