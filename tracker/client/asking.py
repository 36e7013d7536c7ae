"""Asks several trackers so that one that hangs holds nobody up: the next is asked too, and the first answer counts.

Invariant: whoever asks passes the same request id to each, so a change runs once. What takes long by its nature (the
work for a password, a manifest over a slow line) is asked elsewhere only if its tracker does not greet a new connection
either: a tracker that is at work is not relieved by giving the same work to another. Whoever is the last to be asked
is waited for while it greets, so a person hears within seconds that no tracker answers.

Not here: which trackers there are and in which order they are asked (client).
"""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from tracker.client.connection import fetch_authority
from tracker.client.errors import NoTracker, TrackerError, TrackerLost, TrackerRefused, TrackersSilent
from tracker.client.promptness import PATIENCE_MIN_S
from tracker.client.reconnect import TrackerLink
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.manifests import FetchPage, Publish, PutPage
from tracker.protocol.requests import ChangePassword, CreateUser, Login, Request
from tracker.settings import NO_TRACKER_GRACE_S

_LONG_LEAVES_BYTES = 64 << 10
_GREETING_PAUSE_MAX_S = 4.0
_LAST_GREETING_S = 2.0
"""For the greeting of those who were the last to be asked: they are given up if it does not come."""
_PASSING = frozenset({"busy", "throttled", "internal"})
"""Refusals of one tracker that another, asked already, may not give."""

Answer = TypeVar("Answer")
Ask = Callable[[TrackerLink], Coroutine[Any, Any, Answer]]


def takes_long(request: Request) -> bool:
    """By its nature, at a tracker that is well."""
    if isinstance(request, Publish):
        return len(request.leaves) > _LONG_LEAVES_BYTES
    return isinstance(request, CreateUser | Login | ChangePassword | PutPage | FetchPage)


async def first_answer(find_links: Callable[[], Sequence[TrackerLink]], ask: Ask[Answer], *, is_long: bool) -> Answer:
    """`find_links`: whom to ask, in order, looked up whenever the next is due. Raises TrackerRefused, TrackerLost when
    nobody is left, and TrackersSilent when all have been for NO_TRACKER_GRACE_S.
    """
    running: dict[asyncio.Task[Answer], TrackerLink] = {}
    asked: set[TrackerLink] = set()
    refusal: TrackerRefused | None = None
    patience: _Patience | None = None
    silence: asyncio.Task[None] | None = None
    try:
        while True:
            link = next((one for one in find_links() if one not in asked), None)
            if patience is not None:
                patience.look(is_another_there=link is not None)
            if link is not None and (patience is None or patience.is_over):
                asked.add(link)
                running[asyncio.create_task(ask(link))] = link
                patience = _Patience(link, is_long)
                await _give_up(silence)
                silence = asyncio.create_task(_until_silent(list(running.values())))
            if not running:
                raise refusal or TrackerLost("no tracker is left to be asked")
            await _wait(running, patience, silence)
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
                await _give_up(patience.greeting if patience else None)
                patience = None
            if running and silence is not None and silence.done():
                if refusal is not None:
                    raise refusal
                for link in running.values():
                    link.lapse()
                raise TrackersSilent("no tracker that was asked gives a sign of life")
    finally:
        await _give_up(*running, patience.greeting if patience else None, silence)


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


class _Patience:
    """With the tracker that was asked last; when it `is_over`, another is asked too.

    `greeting` is under way while the tracker has to show that it is well.
    """

    def __init__(self, link: TrackerLink, is_long: bool) -> None:
        self.is_over = False
        self.greeting: asyncio.Task[bool] | None = None
        self._link = link
        self._is_long = is_long
        self._pause_s = link.promptness.patience_s
        self._until_s = time.monotonic() + self._pause_s

    @property
    def left_s(self) -> float:
        return max(0.0, self._until_s - time.monotonic())

    def look(self, *, is_another_there: bool) -> None:
        """To be called whenever something may have changed."""
        if self.is_over:
            return
        is_well = self._is_long
        if self.greeting is not None:
            if not self.greeting.done():
                return
            is_well, self.greeting = self.greeting.result(), None
        elif self.left_s > 0:
            return
        elif self._is_long and is_another_there:
            self.greeting = asyncio.create_task(_greets(self._link, self._link.promptness.patience_s))
            return
        if is_well:
            self._pause_s = min(2 * self._pause_s, _GREETING_PAUSE_MAX_S)
            self._until_s = time.monotonic() + self._pause_s
        else:
            self.is_over = True
            self._link.lapse()


async def _wait(
    running: Collection[asyncio.Task[Any]], patience: _Patience | None, silence: asyncio.Task[None] | None
) -> None:
    """Until somebody answers or patience ends; where it has ended, for another tracker that may be there by then."""
    waited_for: set[asyncio.Task[Any]] = {*running, *([silence] if silence else [])}
    timeout_s: float | None = PATIENCE_MIN_S
    if patience is not None and patience.greeting is not None:
        waited_for.add(patience.greeting)
        timeout_s = None
    elif patience is not None and not patience.is_over:
        timeout_s = patience.left_s
    await asyncio.wait(waited_for, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def _until_silent(links: Sequence[TrackerLink]) -> None:
    """Returns once none of them greets. Whoever is so full that it hangs up on the newcomer is there, too."""
    pause_s = NO_TRACKER_GRACE_S - _LAST_GREETING_S
    while True:
        await asyncio.sleep(pause_s)
        if not any(await asyncio.gather(*(_is_there(link) for link in links))):
            return
        pause_s = _GREETING_PAUSE_MAX_S


async def _is_there(link: TrackerLink) -> bool:
    try:
        await fetch_authority(link.address, _LAST_GREETING_S)
    except TrackerError as error:
        return isinstance(error.__cause__, EOFError | ConnectionError)
    return True


async def _greets(link: TrackerLink, timeout_s: float) -> bool:
    try:
        await fetch_authority(link.address, timeout_s)
    except TrackerError:
        return False
    return True


async def _give_up(*tasks: "asyncio.Task[Any] | None") -> None:
    left = [task for task in tasks if task is not None]
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
