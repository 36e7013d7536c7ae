"""A client asks a second tracker while the first is still at it, with the same request id: it is done once, and both
say the same.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.faults.test_tracker_killed import CHANGES, content, essence, opened, state
from tests.tracker.conftest import Office, Person
from tracker.protocol import requests, results
from tracker.service.live_sessions import Connection

__all__ = ["state"]

PASSWORD_WORK: dict[type, tuple[str, requests.Request]] = {
    requests.CreateUser: ("", requests.CreateUser("new", "pw new")),
    requests.ChangePassword: ("ann", requests.ChangePassword("pw ann", "another")),
}
ALL = CHANGES | PASSWORD_WORK


@pytest.fixture
async def two(state: Path) -> AsyncIterator[tuple[Office, Office]]:
    """Two trackers as two processes have them: each its own store, of one database."""
    offices = await opened(state), await opened(state)
    yield offices
    for office in offices:
        await office.store.close()


async def on_both(two: tuple[Office, Office], user_id: str) -> tuple[Person, Person]:
    """One client, logged in on each, or a stranger."""
    first = two[0].stranger()
    second = Person(two[1].service, Connection(secrets.token_bytes(32), "192.0.2.1", lambda event: None), [], first.key)
    if user_id:
        for person in (first, second):
            assert isinstance(await person.login(user_id, f"pw {user_id}"), results.LoggedIn)
    return first, second


@pytest.mark.parametrize("kind", ALL, ids=lambda kind: kind.__name__)
async def test_what_two_trackers_are_asked_at_once_is_done_once(
    kind: type, state: Path, two: tuple[Office, Office]
) -> None:
    user_id, request = ALL[kind]
    first, second = await on_both(two, user_id)
    news_before = len(content(state)["news"])
    request_id = secrets.token_bytes(16)
    answers = await asyncio.gather(first.ask(request, request_id), second.ask(request, request_id))
    assert not isinstance(answers[0], results.Refused), answers
    assert essence(answers[0]) == essence(answers[1])
    after = content(state)
    assert await first.ask(request, request_id) == answers[0]
    assert content(state) == after
    if kind in (requests.ChangePassword, requests.RevokeSessions):  # an epoch, and whose sessions end
        assert len(after["news"]) - news_before == 2


async def test_a_name_wanted_by_two_people_at_once_is_given_to_one(two: tuple[Office, Office]) -> None:
    one, other = two[0].stranger(), two[1].stranger()
    request_id = secrets.token_bytes(16)
    answers = await asyncio.gather(
        one.ask(requests.CreateUser("new", "pw"), request_id), other.ask(requests.CreateUser("new", "else"), request_id)
    )
    assert sorted(type(answer).__name__ for answer in answers) == ["Done", "Refused"]
