"""Asks several trackers so that one that hangs holds nobody up: the next is asked too, and the first answer counts.

Invariant: whoever asks passes the same request id to each, so a change runs once. What takes long by its nature (the
work for a password, a manifest over a slow line) is asked elsewhere only if its tracker does not greet a new connection
either: a tracker that is at work is not relieved by giving the same work to another.

Not here: which trackers there are and in which order they are asked (client).
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from tracker.addresses import TrackerAddress
from tracker.connection import fetch_authority
from tracker.errors import NoTracker, TrackerError, TrackerLost, TrackerRefused
from tracker.link import Link
from tracker.promptness import PATIENCE_MIN_S
from tracker.protocol import ChangePassword, CreateUser, FetchPage, Login, Publish, PutPage, Request

_LONG_LEAVES_BYTES = 64 << 10
_GREETING_PAUSE_MAX_S = 4.0
_PASSING = frozenset({"busy", "throttled", "internal"})
"""Refusals of one tracker that another, asked already, may not give."""

Answer = TypeVar("Answer")
Ask = Callable[[Link], Coroutine[Any, Any, Answer]]


def takes_long(request: Request) -> bool:
    """By its nature, at a tracker that is well."""
    if isinstance(request, Publish):
        return len(request.leaves) > _LONG_LEAVES_BYTES
    return isinstance(request, CreateUser | Login | ChangePassword | PutPage | FetchPage)


async def first_answer(find_links: Callable[[], Sequence[Link]], ask: Ask[Answer], *, is_long: bool) -> Answer:
    """`find_links`: whom to ask, in order, looked up whenever the next is due. Raises TrackerRefused, and TrackerLost
    when nobody is left.
    """
    running: dict[asyncio.Task[Answer], Link] = {}
    asked: set[Link] = set()
    refusal: TrackerRefused | None = None
    patience: asyncio.Task[None] | None = None

    def following() -> Link | None:
        return next((link for link in find_links() if link not in asked), None)

    try:
        while True:
            link = following()
            if link is not None and (patience is None or patience.done()):
                asked.add(link)
                running[asyncio.create_task(ask(link))] = link
                patience = asyncio.create_task(_lapse(link, lambda: following() is not None, is_long))
            if not running:
                raise refusal or TrackerLost("no tracker is left to be asked")
            waited_for = set(running) if patience is None or patience.done() else {*running, patience}
            await asyncio.wait(waited_for, timeout=PATIENCE_MIN_S, return_when=asyncio.FIRST_COMPLETED)
            for task in [task for task in running if task.done()]:
                link = running.pop(task)
                try:
                    return task.result()
                except TrackerLost:
                    asked.discard(link)  # It may be back before another answers.
                except TrackerRefused as error:
                    if error.code not in _PASSING or not running:
                        raise
                    refusal = error
                _stop(patience)
                patience = None
    finally:
        for left in [*running, patience]:
            _stop(left)
        await asyncio.gather(*running, *([patience] if patience else []), return_exceptions=True)


async def find_authority(addresses: Sequence[TrackerAddress], timeout_s: float) -> bytes:
    """The authority (certificate PEM) that one of these trackers shows, the first of them if it does so soon. Raises
    NoTracker.
    """

    async def fetch(position: int, address: TrackerAddress) -> bytes:
        await asyncio.sleep(position * PATIENCE_MIN_S)
        return await fetch_authority(address, timeout_s)

    tasks = [asyncio.create_task(fetch(position, address)) for position, address in enumerate(addresses)]
    reasons: list[str] = []
    try:
        for earliest in asyncio.as_completed(tasks):
            try:
                return await earliest
            except TrackerError as error:
                reasons.append(str(error))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    raise NoTracker("no tracker answers: " + "; ".join(reasons) + ". Is one running?")


async def _lapse(link: Link, is_another_there: Callable[[], bool], is_long: bool) -> None:
    """Ends when this tracker is not to be waited for alone any more."""
    wait_s = link.promptness.patience_s
    await asyncio.sleep(wait_s)
    while is_long and (not is_another_there() or await _greets(link)):
        wait_s = min(2 * wait_s, _GREETING_PAUSE_MAX_S)
        await asyncio.sleep(wait_s)
    link.lapse()


async def _greets(link: Link) -> bool:
    try:
        await fetch_authority(link.address, link.promptness.patience_s)
    except TrackerError:
        return False
    return True


def _stop(task: "asyncio.Task[Any] | None") -> None:
    if task is not None:
        task.cancel()
