"""Who hears the events of a client.

Invariants: each event reaches every subscriber, in the order in which they subscribed. A subscriber that raises cannot
break the client: the event loop reports it, like a bug in a task.
Not for: what the events are (events).
"""

import asyncio
import itertools
from collections.abc import Callable

from engine.client.events import Event

Subscriber = Callable[[Event], None]


class Subscribers:
    """Of one client; used on its event loop only."""

    def __init__(self) -> None:
        self._subscribers: dict[int, Subscriber] = {}
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._subscribers)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """`subscriber` is called with each event from now on. Returns what ends that."""
        number = next(self._numbers)
        self._subscribers[number] = subscriber

        def unsubscribe() -> None:
            self._subscribers.pop(number, None)

        return unsubscribe

    def tell(self, event: Event) -> None:
        for subscriber in list(self._subscribers.values()):
            try:
                subscriber(event)
            except Exception as error:
                loop = asyncio.get_running_loop()
                loop.call_exception_handler({"message": "a subscriber failed", "exception": error})
