"""A client that moves nothing has no clock running."""

from types import SimpleNamespace
from typing import Any

from engine.coordinator.clock import Clock
from engine.coordinator.peer_links import PeerAddress, PeerLinks
from engine.ipc import orders
from engine.settings import Settings

ANN = PeerAddress("ann", "127.0.0.1", 7001, b"a" * 32)


class FakeFetching:
    def __init__(self, link_count: int) -> None:
        self.has_links = link_count > 0
        self.ticks = 0

    def tick(self, now_s: float) -> None:
        self.ticks += 1


def a_clock(links: PeerLinks, fetching: list[Any], runs: int) -> tuple[Clock, list[orders.AnyOrder], list[None]]:
    sent_orders: list[orders.AnyOrder] = []
    pumped: list[None] = []
    pool: Any = SimpleNamespace(send=lambda _, order: sent_orders.append(order))
    clock = Clock(links, pool, dict.fromkeys(range(runs)), lambda: fetching, lambda: pumped.append(None), 0.1)
    return clock, sent_orders, pumped


def test_what_only_serves_does_not_tick() -> None:
    clock, _, pumped = a_clock(PeerLinks(Settings()), [], 0)
    clock._tick(0.0)
    assert clock._pause_s() is None
    assert not pumped


def test_what_waits_or_is_checked_ticks_once_a_second() -> None:
    assert a_clock(PeerLinks(Settings()), [FakeFetching(0)], 1)[0]._pause_s() == 1.0
    assert a_clock(PeerLinks(Settings()), [], 1)[0]._pause_s() == 1.0


def test_pieces_that_may_move_are_looked_after_all_the_time() -> None:
    fetching = FakeFetching(2)
    clock, _, pumped = a_clock(PeerLinks(Settings()), [FakeFetching(0), fetching], 2)
    clock._tick(0.0)
    assert clock._pause_s() == 0.1
    assert (fetching.ticks, len(pumped)) == (1, 1)


def test_a_link_that_is_left_over_is_ended_and_then_nothing_ticks() -> None:
    links = PeerLinks(Settings())
    links.link_to(ANN, 0, is_open=False)
    clock, sent_orders, _ = a_clock(links, [], 0)
    clock._tick(1.0)
    assert (clock._pause_s(), sent_orders) == (1.0, [])
    clock._tick(2.0 + Settings().idle_link_s)
    assert [type(order) for order in sent_orders] == [orders.EndLink]
    assert clock._pause_s() is None
