"""What news does to the sessions of a tracker that hears of it."""

import random
from dataclasses import dataclass, field

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tracker.protocol.authority import load_authority, make_authority
from tracker.protocol.events import Bulletin, Event, GroupEpoch, SessionEnded, TicketKeys
from tracker.rules.handout import Handout
from tracker.rules.permissions import Refusal
from tracker.rules.presence import Holding, Presence
from tracker.service.live_sessions import Connection, LiveSessions, Session
from tracker.service.tracker_state import TrackerState
from tracker.settings import Policy
from tracker.store.news import NEWS_LIFE_S, News, NewsEvent, SessionsRevoked

AUTHORITY = load_authority(*make_authority(0.0))
SWARM = ("lab", bytes(32))
NOW_S = 1000.0


@dataclass
class Place:
    """A tracker's state, and what its clients are told."""

    state: TrackerState = field(
        default_factory=lambda: TrackerState(
            AUTHORITY, Presence(), Handout(), LiveSessions(), random.Random(1), Policy(), b"here"
        )
    )
    told: dict[str, list[Event | Bulletin]] = field(default_factory=dict)
    numbers: int = 0

    def connect(self, name: str) -> Connection:
        return Connection(bytes(32), "192.0.2.1", self.told.setdefault(name, []).append)

    def enter(self, user_id: str, key: bytes, generation: int = 0) -> Connection:
        connection = self.connect(f"{user_id} {key.decode()}")
        self.numbers += 1
        public_key = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
        session = Session(self.numbers, user_id, public_key, key, NOW_S + 9999, generation)
        self.state.begin_session(connection, session, NOW_S)
        return connection

    def deliver(self, event: NewsEvent, *recipients: str, at_s: float = NOW_S) -> None:
        self.state.deliver(News(len(self.state.recent_news) + 1, b"there", frozenset(recipients), event, at_s))


@pytest.fixture
def place() -> Place:
    return Place()


def test_a_revocation_ends_every_session_but_the_spared_one(place: Place) -> None:
    thief, owner, other = place.enter("ann", b"thief"), place.enter("ann", b"owner"), place.enter("bob", b"bob")
    place.deliver(SessionsRevoked("ann", 1, b"owner"))
    assert thief.session is None
    assert owner.session is not None
    assert other.session is not None
    assert [type(event) for event in place.told["ann thief"]] == [SessionEnded]
    assert not place.told["ann owner"]


def test_a_session_does_not_begin_after_the_news_that_revokes_it(place: Place) -> None:
    """It was found alive in a transaction that ended before the news came."""
    place.deliver(SessionsRevoked("ann", 2, b"owner"))
    with pytest.raises(Refusal):
        place.enter("ann", b"thief", generation=1)
    assert place.enter("ann", b"owner", generation=1).session is not None
    assert place.enter("ann", b"another", generation=2).session is not None


def test_a_removed_member_shares_nothing_in_that_group_any_more(place: Place) -> None:
    connection = place.enter("bob", b"bob")
    assert connection.session is not None
    place.state.presence.add(connection.session.number, SWARM, Holding.ALL)
    place.deliver(GroupEpoch("lab", 2, "bob", b"bob"), "ann")
    assert place.state.presence.is_shared(SWARM), "the account is still a member, by the spared key"
    place.deliver(GroupEpoch("lab", 3, "bob"), "ann")
    assert not place.state.presence.is_shared(SWARM)


def test_an_event_goes_to_its_recipients_and_keys_to_everybody(place: Place) -> None:
    place.enter("ann", b"ann")
    place.enter("bob", b"bob")
    epoch, keys = GroupEpoch("lab", 2, "cyd"), TicketKeys({})
    place.deliver(epoch, "ann")
    place.deliver(keys)
    assert place.told == {"ann ann": [Bulletin(1, epoch), keys], "bob bob": [keys]}


def test_who_was_away_hears_of_removals_but_not_of_its_own(place: Place) -> None:
    place.deliver(GroupEpoch("lab", 2, "cyd"), "ann", "bob")
    place.deliver(GroupEpoch("lab", 3, "ann"), "ann", "bob")
    place.deliver(GroupEpoch("den", 4, "cyd"), "bob")
    place.state.tell_missed_removals(place.connect("back"), "ann")
    assert place.told["back"] == [Bulletin(1, GroupEpoch("lab", 2, "cyd"))]


def test_news_is_remembered_for_as_long_as_a_ticket_lives(place: Place) -> None:
    place.deliver(GroupEpoch("lab", 2, "cyd"), at_s=NOW_S)
    place.deliver(GroupEpoch("lab", 3, "cyd"), at_s=NOW_S + NEWS_LIFE_S)
    assert len(place.state.recent_news) == 2
    place.deliver(GroupEpoch("lab", 4, "cyd"), at_s=NOW_S + NEWS_LIFE_S + 1)
    assert len(place.state.recent_news) == 2


def test_revocations_are_counted_by_the_session_that_made_them_and_only_lately(place: Place) -> None:
    owner = place.enter("ann", b"owner").session
    assert owner is not None
    place.deliver(SessionsRevoked("ann", 1, b"owner"), at_s=NOW_S - 100)
    place.deliver(SessionsRevoked("ann", 2, b"thief"), at_s=NOW_S - 10)
    for at_s in (NOW_S - 9, NOW_S - 5, NOW_S + 5):
        place.deliver(SessionsRevoked("ann", 3, b"owner"), at_s=at_s)
    assert place.state.revocations_by(owner, NOW_S) == [NOW_S - 9, NOW_S - 5], "a later one is of a wrong clock"
