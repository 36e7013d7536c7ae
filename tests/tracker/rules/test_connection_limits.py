from hypothesis import given
from hypothesis import strategies as st

from tracker.rules.connection_limits import ConnectionLimits, Guest
from tracker.settings import (
    CONNECTIONS_MAX,
    CONNECTIONS_PER_ADDRESS_MAX,
    HANDSHAKES_AT_ONCE_PER_ADDRESS,
    HANDSHAKES_PER_S_PER_ADDRESS,
)


class Crowd:
    """Guests, and who of them was cut."""

    def __init__(self) -> None:
        self.keeper = ConnectionLimits()
        self.cut: list[Guest] = []
        self.now_s = 0.0

    def enter(self, host: str) -> Guest | None:
        guest = Guest(host, lambda: None)
        guest.cut = lambda: self.cut.append(guest)
        self.now_s += 1 / HANDSHAKES_PER_S_PER_ADDRESS
        return guest if self.keeper.enter(guest, self.now_s) else None


def test_the_oldest_stranger_of_an_address_makes_room() -> None:
    crowd = Crowd()
    inside = [crowd.enter("a") for _ in range(CONNECTIONS_PER_ADDRESS_MAX)]
    assert inside[0] is not None
    crowd.keeper.know(inside[0])
    bystander = crowd.enter("b")
    assert crowd.enter("a") is not None
    assert crowd.cut == [inside[1]]
    assert bystander not in crowd.cut


def test_who_has_logged_in_is_never_put_out() -> None:
    crowd = Crowd()
    for _ in range(CONNECTIONS_PER_ADDRESS_MAX):
        guest = crowd.enter("a")
        assert guest is not None
        crowd.keeper.know(guest)
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
    crowd.keeper.leave(first)  # its connection ends only now
    assert len(crowd.keeper._inside) == CONNECTIONS_MAX


def test_a_crowd_from_a_few_addresses_puts_out_its_own() -> None:
    crowd = Crowd()
    honest = crowd.enter("honest")
    hosts = CONNECTIONS_MAX // CONNECTIONS_PER_ADDRESS_MAX + 1
    for number in range(2 * CONNECTIONS_MAX):
        crowd.enter(f"host{number % hosts}")
    assert len(crowd.keeper._inside) == CONNECTIONS_MAX
    assert len(crowd.cut) > CONNECTIONS_MAX / 2
    assert honest not in crowd.cut


def test_one_address_knocks_so_often_and_another_is_not_concerned() -> None:
    keeper = ConnectionLimits()
    let_in = sum(keeper.enter(Guest("a", lambda: None), 0.0) for _ in range(5000))
    assert let_in == HANDSHAKES_AT_ONCE_PER_ADDRESS
    assert keeper.enter(Guest("b", lambda: None), 0.0)
    assert keeper.enter(Guest("a", lambda: None), 1.0)


@given(st.lists(st.tuples(st.sampled_from(["enter", "know", "leave"]), st.integers(0, 9)), max_size=200))
def test_counts_never_go_wrong(steps: list[tuple[str, int]]) -> None:
    crowd = Crowd()
    guests: list[Guest] = []
    for step, number in steps:
        if step == "enter":
            guest = crowd.enter(f"host{number % 3}")
            assert guest is not None
            guests.append(guest)
        elif guests:
            getattr(crowd.keeper, step)(guests[number % len(guests)])
    assert sum(crowd.keeper._of_host.values()) == len(crowd.keeper._inside)
    assert all(set(strangers) <= crowd.keeper._inside for strangers in crowd.keeper._strangers_of.values())
    for guest in guests:
        crowd.keeper.leave(guest)
    assert not crowd.keeper._inside
    assert not crowd.keeper._of_host
    assert not crowd.keeper._strangers_of
