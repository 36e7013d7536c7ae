"""Asks one tracker after the other until one answers, so that a tracker that hangs holds nobody up.

When a tracker does not answer in time, the next is asked too, and the first answer counts. A request that takes long by
its nature (the work on a password, a manifest over a slow line) is given to another tracker only if the first does not
greet a new connection either: a tracker that is at work would not be relieved by the same work elsewhere. When there is
none left to ask, those that were asked are waited for while one of them greets, so a person hears within seconds that
no tracker answers.

Invariant: every tracker gets the same request id from its caller, so a change is carried out once.
Not here: which trackers there are and in which order they are asked (client).
"""

import asyncio
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeVar

from tracker.client.connection import fetch_authority
from tracker.client.errors import NoTracker, TrackerError, TrackerLost, TrackerRefused, TrackersSilent
from tracker.client.known_tracker import KnownTracker
from tracker.client.promptness import PATIENCE_MIN_S
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.manifests import FetchPage, Publish, PutPage
from tracker.protocol.requests import ChangePassword, CreateUser, Login, Request
from tracker.settings import NO_TRACKER_GRACE_S

_LONG_LEAVES_BYTES = 64 << 10
_GREETING_PAUSE_MAX_S = 4.0
_LAST_GREETING_S = 2.0
"""How long a greeting is waited for when there is no other tracker left to ask."""
_PASSING = frozenset({"busy", "throttled", "internal"})
"""Refusals that hold for one tracker at this moment: another that was asked too may still answer."""

Answer = TypeVar("Answer")
Ask = Callable[[KnownTracker], Coroutine[Any, Any, Answer]]


def takes_long(request: Request) -> bool:
    """Whether a tracker that is well may need long for this kind of request."""
    if isinstance(request, Publish):
        return len(request.leaves) > _LONG_LEAVES_BYTES
    return isinstance(request, CreateUser | Login | ChangePassword | PutPage | FetchPage)


async def first_answer(
    find_trackers: Callable[[], Sequence[KnownTracker]], ask: Ask[Answer], *, is_long: bool
) -> Answer:
    """`find_trackers` names those to ask, in order; it is called whenever the next one is due.

    Raises TrackerRefused; TrackerLost when no tracker is left; TrackersSilent when those that were asked gave no sign
    of life for NO_TRACKER_GRACE_S.
    """
    running: dict[asyncio.Task[Answer], KnownTracker] = {}
    asked: set[KnownTracker] = set()
    refusal: TrackerRefused | None = None
    patience: _Patience | None = None
    silence: asyncio.Task[None] | None = None
    try:
        while True:
            tracker = next((one for one in find_trackers() if one not in asked), None)
            if patience is not None:
                patience.look(is_another_there=tracker is not None)
            if tracker is not None and (patience is None or patience.is_over):
                asked.add(tracker)
                running[asyncio.create_task(ask(tracker))] = tracker
                patience = _Patience(tracker, is_long)
                await _give_up(silence)
                silence = asyncio.create_task(_until_silent(list(running.values())))
            if not running:
                raise refusal or TrackerLost("no tracker is left to be asked")
            await _wait(running, patience, silence)
            for task in [task for task in running if task.done()]:
                tracker = running.pop(task)
                try:
                    return task.result()
                except TrackerLost:
                    asked.discard(tracker)  # It may be back before another answers.
                except TrackerRefused as error:
                    if error.code not in _PASSING or not running:
                        raise
                    refusal = error
                await _give_up(patience.greeting if patience else None)
                patience = None
            if running and silence is not None and silence.done():
                if refusal is not None:
                    raise refusal
                for tracker in running.values():
                    tracker.lapse()
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
    """How long the tracker that was asked last is waited for; when that `is_over`, another is asked too.

    `greeting` is a task while the tracker is tested with a new connection.
    """

    def __init__(self, tracker: KnownTracker, is_long: bool) -> None:
        self.is_over = False
        self.greeting: asyncio.Task[bool] | None = None
        self._tracker = tracker
        self._is_long = is_long
        self._pause_s = tracker.promptness.patience_s
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
            self.greeting = asyncio.create_task(_greets(self._tracker, self._tracker.promptness.patience_s))
            return
        if is_well:
            self._pause_s = min(2 * self._pause_s, _GREETING_PAUSE_MAX_S)
            self._until_s = time.monotonic() + self._pause_s
        else:
            self.is_over = True
            self._tracker.lapse()


async def _wait(
    running: Collection[asyncio.Task[Any]], patience: _Patience | None, silence: asyncio.Task[None] | None
) -> None:
    """Until an answer comes or patience ends. If it has ended, for a moment: another tracker may be there by then."""
    waited_for: set[asyncio.Task[Any]] = {*running, *([silence] if silence else [])}
    timeout_s: float | None = PATIENCE_MIN_S
    if patience is not None and patience.greeting is not None:
        waited_for.add(patience.greeting)
        timeout_s = None
    elif patience is not None and not patience.is_over:
        timeout_s = patience.left_s
    await asyncio.wait(waited_for, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)


async def _until_silent(trackers: Sequence[KnownTracker]) -> None:
    """Returns once none of them greets. One that is full and hangs up on the newcomer gives a sign of life too."""
    pause_s = NO_TRACKER_GRACE_S - _LAST_GREETING_S
    while True:
        await asyncio.sleep(pause_s)
        if not any(await asyncio.gather(*(_is_there(tracker) for tracker in trackers))):
            return
        pause_s = _GREETING_PAUSE_MAX_S


async def _is_there(tracker: KnownTracker) -> bool:
    try:
        await fetch_authority(tracker.address, _LAST_GREETING_S)
    except TrackerError as error:
        return isinstance(error.__cause__, EOFError | ConnectionError)
    return True


async def _greets(tracker: KnownTracker, timeout_s: float) -> bool:
    try:
        await fetch_authority(tracker.address, timeout_s)
    except TrackerError:
        return False
    return True


async def _give_up(*tasks: "asyncio.Task[Any] | None") -> None:
    left = [task for task in tasks if task is not None]
    for task in left:
        task.cancel()
    if left:
        await asyncio.gather(*left, return_exceptions=True)
