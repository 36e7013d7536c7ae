from hypothesis import given
from hypothesis import strategies as st

from tracker.rules.connection_limits import AcceptedConnection, ConnectionLimits
from tracker.settings import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_ADDRESS_MAX,
    HANDSHAKES_AT_ONCE_PER_ADDRESS,
    HANDSHAKES_PER_S_PER_ADDRESS,
)


class Crowd:
    """Connections from some addresses, and which of them were cut off."""

    def __init__(self) -> None:
        self.limits = ConnectionLimits()
        self.cut: list[AcceptedConnection] = []
        self.now_s = 0.0

    def enter(self, host: str) -> AcceptedConnection | None:
        connection = AcceptedConnection(host, lambda: None)
        connection.cut = lambda: self.cut.append(connection)
        self.now_s += 1 / HANDSHAKES_PER_S_PER_ADDRESS
        return connection if self.limits.admit(connection, self.now_s) else None


def test_the_oldest_stranger_of_an_address_makes_room() -> None:
    crowd = Crowd()
    inside = [crowd.enter("a") for _ in range(CONNECTIONS_PER_ADDRESS_MAX)]
    assert inside[0] is not None
    crowd.limits.mark_logged_in(inside[0])
    bystander = crowd.enter("b")
    assert crowd.enter("a") is not None
    assert crowd.cut == [inside[1]]
    assert bystander not in crowd.cut


def test_who_has_logged_in_is_never_put_out() -> None:
    crowd = Crowd()
    for _ in range(CONNECTIONS_PER_ADDRESS_MAX):
        connection = crowd.enter("a")
        assert connection is not None
        crowd.limits.mark_logged_in(connection)
    assert crowd.enter("a") is None
    assert crowd.cut == []


def test_a_full_house_of_strangers_lets_the_next_one_in() -> None:
    crowd = Crowd()
    first = crowd.enter("host")
    for number in range(CONNECTIONS_MAX - 1):
        assert crowd.enter(f"host{number}") is not None
    assert crowd.enter("newcomer") is not None
    assert crowd.cut == [first]
    assert first is not None
    crowd.limits.release(first)  # its connection ends only now
    assert len(crowd.limits._open) == CONNECTIONS_MAX


def test_a_crowd_from_a_few_addresses_puts_out_its_own() -> None:
    crowd = Crowd()
    honest = crowd.enter("honest")
    hosts = CONNECTIONS_MAX // CONNECTIONS_PER_ADDRESS_MAX + 1
    for number in range(2 * CONNECTIONS_MAX):
        crowd.enter(f"host{number % hosts}")
    assert len(crowd.limits._open) == CONNECTIONS_MAX
    assert len(crowd.cut) > CONNECTIONS_MAX / 2
    assert honest not in crowd.cut


def test_the_handshakes_of_one_address_are_limited_and_another_is_not_concerned() -> None:
    limits = ConnectionLimits()
    let_in = sum(limits.admit(AcceptedConnection("a", lambda: None), 0.0) for _ in range(5000))
    assert let_in == HANDSHAKES_AT_ONCE_PER_ADDRESS
    assert limits.admit(AcceptedConnection("b", lambda: None), 0.0)
    assert limits.admit(AcceptedConnection("a", lambda: None), 1.0)


@given(st.lists(st.tuples(st.sampled_from(["admit", "mark_logged_in", "release"]), st.integers(0, 9)), max_size=200))
def test_counts_never_go_wrong(steps: list[tuple[str, int]]) -> None:
    crowd = Crowd()
    accepted: list[AcceptedConnection] = []
    for step, number in steps:
        if step == "admit":
            connection = crowd.enter(f"host{number % 3}")
            assert connection is not None
            accepted.append(connection)
        elif accepted:
            getattr(crowd.limits, step)(accepted[number % len(accepted)])
    assert sum(crowd.limits._of_host.values()) == len(crowd.limits._open)
    assert all(set(strangers) <= crowd.limits._open for strangers in crowd.limits._strangers_of.values())
    for connection in accepted:
        crowd.limits.release(connection)
    assert not crowd.limits._open
    assert not crowd.limits._of_host
    assert not crowd.limits._strangers_of
