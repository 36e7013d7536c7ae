import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from tracker.client import asking
from tracker.client.asking import find_authority, first_answer
from tracker.client.errors import NoTracker, TrackerError, TrackerLost, TrackerRefused, TrackersSilent
from tracker.client.known_tracker import KnownTracker
from tracker.client.promptness import Promptness
from tracker.protocol.addresses import TrackerAddress, fingerprint_of

if TYPE_CHECKING:
    from tests.tracker.conftest import Town


ADDRESS = TrackerAddress("127.0.0.1", 1)


@dataclass(eq=False)
class FakeTracker:
    """Answers with its name when it is told to, or with the error it was given."""

    name: str
    error: TrackerError | None = None
    promptness: Promptness = field(default_factory=Promptness)
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)
    address: TrackerAddress = ADDRESS

    def lapse(self) -> None:
        self.promptness.lapsed()

    async def answer(self) -> str:
        self.asked.set()
        await self.may_answer.wait()
        if self.error is not None:
            raise self.error
        return self.name


async def ask(tracker: KnownTracker) -> str:
    return await cast(FakeTracker, tracker).answer()


def asking_of(*trackers: FakeTracker, is_long: bool = False) -> asyncio.Task[str]:
    return asyncio.create_task(first_answer(lambda: cast(list[KnownTracker], list(trackers)), ask, is_long=is_long))


@pytest.fixture
async def first() -> FakeTracker:
    return FakeTracker("first")


@pytest.fixture
async def second() -> FakeTracker:
    return FakeTracker("second")


@pytest.fixture(autouse=True)
async def never_for_ever() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


async def test_a_prompt_tracker_is_asked_alone(first: FakeTracker, second: FakeTracker) -> None:
    first.may_answer.set()
    assert await asking_of(first, second) == "first"
    assert not second.asked.is_set()
    assert not first.promptness.is_lapsing


async def test_the_next_is_asked_too_when_one_is_long_and_is_known_for_it(
    first: FakeTracker, second: FakeTracker
) -> None:
    second.may_answer.set()
    assert await asking_of(first, second) == "second"
    assert first.promptness.is_lapsing


async def test_the_first_answer_counts_whoever_gives_it(first: FakeTracker, second: FakeTracker) -> None:
    answer = asking_of(first, second)
    await second.asked.wait()
    first.may_answer.set()
    assert await answer == "first"


async def test_whoever_is_lost_is_replaced_at_once(first: FakeTracker, second: FakeTracker) -> None:
    first.error = TrackerLost("gone")
    trackers = [first, second]
    for tracker in trackers:
        tracker.may_answer.set()

    def find_trackers() -> list[KnownTracker]:
        return cast(list[KnownTracker], [tracker for tracker in trackers if not tracker.asked.is_set()])

    assert await first_answer(find_trackers, ask, is_long=False) == "second"
    assert not first.promptness.is_lapsing


async def test_when_all_are_lost_that_is_said(first: FakeTracker) -> None:
    with pytest.raises(TrackerLost):
        await asking_of()
    first.error = TrackerLost("gone")
    first.may_answer.set()

    def find_trackers() -> list[KnownTracker]:
        return [] if first.asked.is_set() else cast(list[KnownTracker], [first])

    with pytest.raises(TrackerLost):
        await first_answer(find_trackers, ask, is_long=False)


async def test_a_tracker_that_comes_meanwhile_is_asked(first: FakeTracker, second: FakeTracker) -> None:
    trackers = [first]
    answer = asyncio.create_task(first_answer(lambda: cast(list[KnownTracker], trackers), ask, is_long=False))
    await first.asked.wait()
    trackers.append(second)
    second.may_answer.set()
    assert await answer == "second"


async def test_a_refusal_is_an_answer(first: FakeTracker, second: FakeTracker) -> None:
    first.error = TrackerRefused("not_member", "no")
    first.may_answer.set()
    with pytest.raises(TrackerRefused):
        await asking_of(first, second)
    assert not second.asked.is_set()


async def test_one_that_is_busy_does_not_speak_for_one_that_is_still_at_it(
    first: FakeTracker, second: FakeTracker
) -> None:
    second.error = TrackerRefused("busy", "later")
    second.may_answer.set()
    answer = asking_of(first, second)
    await second.asked.wait()
    first.may_answer.set()
    assert await answer == "first"


async def test_when_all_are_busy_that_is_said(first: FakeTracker, second: FakeTracker) -> None:
    second.error = TrackerRefused("busy", "later")
    second.may_answer.set()
    answer = asking_of(first, second)
    await second.asked.wait()
    first.error = TrackerLost("gone")
    first.may_answer.set()
    second.may_answer.clear()  # it would be asked a second time by no means
    with pytest.raises(TrackerRefused, match="later"):
        await answer


async def test_what_is_long_stays_with_a_tracker_that_greets(
    first: FakeTracker, second: FakeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    greeted = asyncio.Event()

    async def greet(address: TrackerAddress, timeout_s: float) -> bytes:
        greeted.set()
        return b"pem"

    monkeypatch.setattr(asking, "fetch_authority", greet)
    answer = asking_of(first, second, is_long=True)
    await greeted.wait()
    first.may_answer.set()
    assert await answer == "first"
    assert not second.asked.is_set()


async def test_what_is_long_is_asked_elsewhere_when_its_tracker_does_not_greet(
    first: FakeTracker, second: FakeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def greet(address: TrackerAddress, timeout_s: float) -> bytes:
        raise TrackerLost("silent")

    monkeypatch.setattr(asking, "fetch_authority", greet)
    second.may_answer.set()
    assert await asking_of(first, second, is_long=True) == "second"


@pytest.mark.parametrize("is_long", [False, True])
async def test_when_all_are_silent_that_is_said_within_seconds(
    first: FakeTracker, second: FakeTracker, monkeypatch: pytest.MonkeyPatch, is_long: bool
) -> None:
    async def greet(address: TrackerAddress, timeout_s: float) -> bytes:
        raise TrackerLost("silent") from TimeoutError()

    monkeypatch.setattr(asking, "fetch_authority", greet)
    with pytest.raises(TrackersSilent):
        async with asyncio.timeout(4):
            await asking_of(first, second, is_long=is_long)
    assert first.promptness.is_lapsing
    assert second.promptness.is_lapsing


async def test_a_tracker_at_work_is_waited_for_while_it_greets_or_is_full(
    first: FakeTracker, monkeypatch: pytest.MonkeyPatch
) -> None:
    greetings: list[asyncio.Event] = [asyncio.Event(), asyncio.Event()]
    monkeypatch.setattr(asking, "NO_TRACKER_GRACE_S", 2.1)
    monkeypatch.setattr(asking, "_GREETING_PAUSE_MAX_S", 0.1)

    async def greet(address: TrackerAddress, timeout_s: float) -> bytes:
        if not greetings[0].is_set():
            greetings[0].set()
            return b"pem"
        greetings[1].set()
        raise TrackerLost("full") from ConnectionResetError()

    monkeypatch.setattr(asking, "fetch_authority", greet)
    answer = asking_of(first)
    for greeting in greetings:
        await greeting.wait()
    first.may_answer.set()
    assert await answer == "first"


@contextmanager
def silent_address() -> Iterator[TrackerAddress]:
    """Where the system takes connections, as for a process that was stopped, and nobody says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield TrackerAddress("127.0.0.1", listening.getsockname()[1])


async def test_the_authority_is_shown_by_whoever_answers(town: "Town") -> None:
    with silent_address() as silent:
        pem = await find_authority([silent, town.trackers[0].address], 5)
    assert fingerprint_of(pem) == fingerprint_of(town.authority_pem)


async def test_no_authority_is_said_with_every_reason() -> None:
    with silent_address() as silent, silent_address() as other, pytest.raises(NoTracker) as caught:
        await find_authority([silent, other], 0.1)
    assert str(silent) in str(caught.value)
    assert str(other) in str(caught.value)
