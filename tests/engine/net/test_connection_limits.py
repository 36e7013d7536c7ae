from hypothesis import given
from hypothesis import strategies as st

from engine.net.connection_limits import AcceptedConnection, ConnectionLimits
from engine.settings import Settings

SETTINGS = Settings(serve_links=6, serve_links_per_address=4, serve_links_per_account=2)


class Crowd:
    """Connections, and which of them were cut."""

    def __init__(self) -> None:
        self.connection_limits = ConnectionLimits(SETTINGS)
        self.cut: list[AcceptedConnection] = []

    def enter(self, host: str, user_id: str = "") -> AcceptedConnection | None:
        connection = AcceptedConnection(host, lambda: None)
        connection.cut = lambda: self.cut.append(connection)
        if not self.connection_limits.enter(connection):
            return None
        if user_id:
            assert self.connection_limits.prove(connection, user_id)
        return connection


def test_the_silent_of_an_address_make_room_for_the_next_from_there() -> None:
    crowd = Crowd()
    known = crowd.enter("a", "ann")
    silent = [crowd.enter("a") for _ in range(3)]
    bystander = crowd.enter("b")
    assert crowd.enter("a") is not None
    assert crowd.cut == [silent[0]]
    assert known not in crowd.cut
    assert bystander not in crowd.cut


def test_a_worker_full_of_strangers_takes_a_member() -> None:
    crowd = Crowd()
    strangers = [crowd.enter(f"host{number}") for number in range(6)]
    assert crowd.enter("member", "ann") is not None
    assert crowd.cut == [strangers[0]]
    assert len(crowd.connection_limits) == 6


def test_members_are_not_put_out_for_anybody() -> None:
    crowd = Crowd()
    for number in range(6):
        assert crowd.enter(f"host{number}", f"user{number}") is not None
    assert crowd.enter("newcomer") is None
    assert not crowd.cut


def test_one_account_has_a_bounded_number_of_links_wherever_it_comes_from() -> None:
    crowd = Crowd()
    first = crowd.enter("a", "ann")
    crowd.enter("b", "ann")
    third = crowd.enter("c")
    assert third is not None
    assert not crowd.connection_limits.prove(third, "ann")
    assert first is not None
    crowd.connection_limits.leave(first)
    assert crowd.connection_limits.prove(third, "ann")


@given(st.lists(st.tuples(st.sampled_from(["enter", "prove", "leave"]), st.integers(0, 9)), max_size=100))
def test_counts_never_go_wrong(steps: list[tuple[str, int]]) -> None:
    crowd = Crowd()
    guests: list[AcceptedConnection] = []
    for step, number in steps:
        if step == "enter":
            connection = crowd.enter(f"host{number % 3}")
            guests += [connection] if connection else []
        elif guests and step == "prove":
            crowd.connection_limits.prove(guests[number % len(guests)], f"user{number % 2}")
        elif guests:
            crowd.connection_limits.leave(guests[number % len(guests)])
    connection_limits = crowd.connection_limits
    assert sum(connection_limits._of_host.values()) == len(connection_limits) <= 6
    assert all(count <= 2 for count in connection_limits._of_account.values())
    for each in guests:
        connection_limits.leave(each)
    assert not connection_limits._of_host
    assert not connection_limits._of_account
    assert not connection_limits._unproven
