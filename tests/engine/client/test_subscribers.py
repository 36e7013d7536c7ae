import asyncio
from typing import Any

from engine.client.events import LeftGroup
from engine.client.subscribers import Subscribers
from engine.reports import Event

EVENT = LeftGroup("lab")


def test_each_subscriber_hears_each_event_in_turn() -> None:
    subscribers, heard = Subscribers(), list[tuple[int, Event]]()
    for number in (1, 2):
        subscribers.subscribe(lambda event, number=number: heard.append((number, event)))  # type: ignore[misc]
    subscribers.tell(EVENT)
    assert heard == [(1, EVENT), (2, EVENT)]


def test_the_same_function_may_subscribe_twice_and_leave_once() -> None:
    subscribers, heard = Subscribers(), list[Event]()
    leave = subscribers.subscribe(heard.append)
    subscribers.subscribe(heard.append)
    leave()
    leave()
    subscribers.tell(EVENT)
    assert heard == [EVENT]


def test_who_leaves_or_comes_while_an_event_is_told_disturbs_nobody() -> None:
    subscribers, heard = Subscribers(), list[Event]()

    def once(event: Event) -> None:
        leave()
        subscribers.subscribe(heard.append)

    leave = subscribers.subscribe(once)
    subscribers.subscribe(heard.append)
    subscribers.tell(EVENT)
    assert heard == [EVENT]
    subscribers.tell(EVENT)
    assert heard == [EVENT] * 3


async def test_one_that_raises_is_reported_and_the_others_hear_all_the_same() -> None:
    subscribers, heard, reported = Subscribers(), list[Event](), list[dict[str, Any]]()

    def broken(event: Event) -> None:
        raise ValueError("a bug of the program that uses the client")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
    subscribers.subscribe(broken)
    subscribers.subscribe(heard.append)
    subscribers.tell(EVENT)
    assert heard == [EVENT]
    assert [type(each["exception"]) for each in reported] == [ValueError]
