"""Every message between coordinator and worker has exactly one method that carries it out."""

from typing import get_args

import pytest

from engine.coordinator.coordinator import Coordinator
from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.worker.fetch_side import FetchSide
from engine.worker.serve_side import ServeSide
from engine.worker.worker import Worker


def test_every_order_is_carried_out_by_one_part_of_the_worker() -> None:
    carried_out = [kind for part in (Worker, FetchSide, ServeSide) for kind in part.handlers.bound_to(object())]
    assert sorted(carried_out, key=repr) == sorted(get_args(orders.AnyOrder), key=repr)


def test_all_news_but_life_signs_reach_the_coordinator() -> None:
    for news in get_args(reports.AnyReport):
        if news is not reports.Pong:  # the pool hears that itself
            assert callable(Coordinator._handlers[news])


def test_a_method_takes_each_of_a_union_and_no_message_has_two() -> None:
    handlers = Handlers()

    @handlers.register
    def either(news: reports.Pong | reports.LinkDown) -> None: ...

    assert handlers[reports.Pong] is handlers[reports.LinkDown] is either
    with pytest.raises(TypeError, match="two methods take Pong"):
        handlers.register(either)
    with pytest.raises(KeyError):
        handlers[reports.LinkUp]
