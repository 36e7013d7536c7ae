from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tracker.rules.presence import Count, Holding, Presence, Swarm

FILE = ("lab", bytes(32))
sessions = st.integers(1, 6)
users = st.sampled_from(["ann", "bob", "cy"])
swarms = st.tuples(st.sampled_from(["lab", "team"]), st.sampled_from([b"r1", b"r2"]))


def present(*sessions: tuple[int, str]) -> Presence:
    presence = Presence()
    for session, user_id in sessions:
        presence.arrive(session, user_id, bytes([session]), 0)
        presence.place(session, "192.0.2.1", 1000 + session)
    return presence


def test_the_silent_are_forgotten_after_thirty_seconds() -> None:
    presence = present((1, "ann"), (2, "bob"))
    presence.add(1, FILE, Holding.ALL)
    presence.add(2, FILE, Holding.ALL)
    presence.hear(2, 10)
    assert presence.expire(29.9) == []
    assert presence.expire(30) == [1]
    assert [sharer.session for sharer in presence.list_sharers(FILE)] == [2]


def test_the_silent_are_forgotten_as_soon_where_the_clock_was_set_back() -> None:
    presence = present((1, "ann"))
    presence.hear(1, 5000)
    assert presence.expire(1000) == []
    assert presence.expire(1029.9) == []
    assert presence.expire(1030) == [1]


def test_a_person_with_two_machines_counts_once() -> None:
    presence = present((1, "ann"), (2, "ann"), (3, "bob"))
    for session in (1, 2, 3):
        presence.add(session, FILE, Holding.ALL)
    assert presence.count_sharers(FILE) == Count(complete=2, partial=0)


def test_who_has_a_part_and_who_has_nothing_are_counted_apart() -> None:
    presence = present((1, "ann"), (2, "bob"), (3, "cy"), (4, "ann"))
    presence.add(1, FILE, Holding.ALL)
    presence.add(2, FILE, Holding.SOME)
    presence.add(3, FILE, Holding.NOTHING)
    presence.add(4, FILE, Holding.SOME)
    assert presence.count_sharers(FILE) == Count(complete=1, partial=1)
    presence.add(3, FILE, Holding.SOME)
    assert presence.count_sharers(FILE) == Count(complete=1, partial=2)
    assert presence.list_holders(2, FILE, Holding.SOME) == ["ann", "cy"]
    assert presence.list_holders(1, FILE, Holding.ALL) == []


def test_a_reconnect_replaces_its_ghost() -> None:
    presence = present((1, "ann"))
    presence.add(1, FILE, Holding.ALL)
    presence.arrive(2, "ann", bytes([1]), 5)
    assert not presence.is_online(1)
    assert presence.list_sharers(FILE) == []


def test_who_leaves_a_group_shares_nothing_there_any_more() -> None:
    presence = present((1, "ann"))
    presence.add(1, FILE, Holding.ALL)
    presence.add(1, ("team", bytes(32)), Holding.ALL)
    presence.drop_from_group("ann", "lab")
    assert presence.list_swarms(1) == [("team", bytes(32))]


class PresenceMachine(RuleBasedStateMachine):
    """Presence against the plainest model: a dict of dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.presence = Presence()
        self.model: dict[int, tuple[str, dict[Swarm, Holding]]] = {}
        self.last = 0

    @rule(user=users)
    def arrive(self, user: str) -> None:
        self.last += 1
        self.presence.arrive(self.last, user, self.last.to_bytes(4, "big"), 0)
        self.model[self.last] = (user, {})

    @rule(session=sessions, swarm=swarms, holding=st.sampled_from(Holding))
    def add(self, session: int, swarm: Swarm, holding: Holding) -> None:
        is_new = session in self.model and swarm not in self.model[session][1]
        assert self.presence.add(session, swarm, holding) == is_new
        if session in self.model:
            self.model[session][1][swarm] = holding

    @rule(session=sessions, swarm=swarms)
    def remove(self, session: int, swarm: Swarm) -> None:
        self.presence.remove(session, swarm)
        if session in self.model:
            self.model[session][1].pop(swarm, None)

    @rule(session=sessions)
    def drop(self, session: int) -> None:
        self.presence.drop(session)
        self.model.pop(session, None)

    @rule(user=users)
    def leave(self, user: str) -> None:
        self.presence.drop_from_group(user, "lab")
        for owner, shares in self.model.values():
            if owner == user:
                for swarm in [swarm for swarm in shares if swarm[0] == "lab"]:
                    del shares[swarm]

    @invariant()
    def both_sides_agree(self) -> None:
        for swarm in [(group, root) for group in ("lab", "team") for root in (b"r1", b"r2")]:
            held = {s: shares[swarm] for s, (_, shares) in self.model.items() if swarm in shares}
            expected = {s: holding == Holding.ALL for s, holding in held.items()}
            found = {one.session: one.is_complete for one in self.presence.list_sharers(swarm)}
            assert found == expected
            assert self.presence.is_shared(swarm) == bool(expected)
            most = [max(held[s] for s in held if self.model[s][0] == user) for user in {self.model[s][0] for s in held}]
            assert self.presence.count_sharers(swarm) == Count(most.count(Holding.ALL), most.count(Holding.SOME))


TestPresenceMachine = PresenceMachine.TestCase
TestPresenceMachine.settings = settings(max_examples=50, stateful_step_count=30)
