"""The tracker is killed at every point of every request that changes something: then the change is there whole or not
at all, and a retry with the same request id returns the first outcome.

The points are before and after every statement, before and after the commit. At each of them the database's files are
copied, which is what a tracker that starts after kill -9 finds; no process has to die for it. The hooks are
SQLAlchemy's own, so that nothing of this is in the program. (With real processes: tests/tracker/test_process, and
`python -m bench faults`.)
"""

import shutil
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import event

from tests.tracker.conftest import START_S, Clock, Office, Person
from tracker.protocol import manifests, requests, results
from tracker.service.dispatch import HANDLERS
from tracker.service.handlers import Handler
from tracker.store.keyring import load_keyring
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import SqlStore

GROUP = "lab"
REQUEST_ID = bytes(range(16))
PUBLISH = manifests.Publish(GROUP, "new.bin", 5, 1 << 18, bytes(32), bytes(32))
CHANGES: dict[type, tuple[str, requests.Request]] = {
    requests.RevokeSessions: ("ann", requests.RevokeSessions()),
    requests.CreateInvite: ("ann", requests.CreateInvite(bytes(32), 600)),
    requests.CreateGroup: ("ann", requests.CreateGroup("other")),
    requests.JoinGroup: ("eve", requests.JoinGroup(GROUP)),
    requests.LeaveGroup: ("ann", requests.LeaveGroup(GROUP)),
    requests.RemoveMember: ("ann", requests.RemoveMember(GROUP, "bob")),
    requests.TransferOwnership: ("ann", requests.TransferOwnership(GROUP, "bob")),
    requests.AcceptRequest: ("ann", requests.AcceptRequest(GROUP, "cyd")),
    requests.RejectRequest: ("ann", requests.RejectRequest(GROUP, "cyd")),
    manifests.Publish: ("bob", PUBLISH),
    manifests.PutPage: ("bob", manifests.PutPage(GROUP, bytes(64))),
    requests.Withdraw: ("ann", requests.Withdraw(GROUP, "old.bin")),
}
"""Who asks for what, in a group of ann and bob that cyd wants to join and eve does not know."""

_OF_THE_SESSION_ALONE = {requests.Login, requests.Resume, requests.Renew, requests.Logout, requests.Heartbeat}
"""A login writes a line into the log, nothing that a retry could do twice."""

_CHANGES_EVERY_TIME = (
    "at_s", "origin", "fact", "password_hash", "asked_at_s", "joined_at_s", "expires_at_s", "number", "spared",
)  # fmt: skip


async def opened(state: Path) -> Office:
    clock = Clock()
    store = await open_store(state)
    return Office(store, await load_keyring(store, START_S), clock)


async def entered(office: Office, user_id: str) -> Person:
    person = office.stranger()
    assert isinstance(await person.login(user_id, "pw " + user_id), results.LoggedIn)
    return person


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    office = await opened(tmp_path / "state")
    people = await office.gather(GROUP, "ann", "bob")
    await people[0].ask(manifests.Publish(GROUP, "old.bin", 5, 1 << 18, bytes([1]) * 32, bytes([2]) * 32))
    cyd = await office.enter("cyd")
    await office.enter("eve")
    await cyd.ask(requests.JoinGroup(GROUP))
    await office.store.close()
    return tmp_path / "state"


def content(state: Path) -> dict[str, list[Any]]:
    """All tables, without what differs between two runs of the same."""
    tables: dict[str, list[Any]] = {}
    with closing(sqlite3.connect(state / "tracker.db")) as connection:
        connection.row_factory = sqlite3.Row
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            rows = connection.execute(f"SELECT * FROM {name}").fetchall()
            if name == "audit":  # every start of this test logs in once more
                rows = [row for row in rows if not row["action"].startswith("login")]
            kept = [[plain(row[key]) for key in row.keys() if key not in _CHANGES_EVERY_TIME] for row in rows]  # noqa: SIM118
            tables[name] = sorted(kept, key=repr)
    return tables


def plain(value: object) -> object:
    """A certificate in an answer is of a key that each session makes anew."""
    return "logged in" if isinstance(value, bytes) and b"logged_in" in value else value


def differing(one: dict[str, list[Any]], other: dict[str, list[Any]]) -> list[str]:
    return [table for table in one if one[table] != other[table]]


def essence(result: results.Result) -> results.Result | str:
    """A certificate is made anew where the first one was never told."""
    return result.user_id if isinstance(result, results.LoggedIn) else result


class Points:
    """Copies the database at every point while it is switched on."""

    def __init__(self, office: Office, state: Path, copies: Path) -> None:
        self._state, self._copies = state, copies
        self.names: list[str] = []
        self.is_on = False
        engine: Any = cast(SqlStore, office.store)._readers.sync_engine
        event.listen(engine, "before_cursor_execute", lambda *words: self.reach(f"before {words[2][:30]}"))
        event.listen(engine, "after_cursor_execute", lambda *words: self.reach(f"after {words[2][:30]}"))
        event.listen(engine, "commit", lambda connection: self.reach("before the commit"))

    def reach(self, name: str) -> None:
        if self.is_on:
            shutil.copytree(self._state, self.path(len(self.names)))
            self.names.append(name)

    def path(self, number: int) -> Path:
        return self._copies / str(number)

    def __iter__(self) -> Iterator[tuple[str, Path]]:
        return ((name, self.path(number)) for number, name in enumerate(self.names))


async def check_every_point(
    state: Path, copies: Path, enter: Callable[[Office], Awaitable[Person]], request: requests.Request
) -> list[str]:
    """The names of the points."""
    before = content(state)
    office = await opened(state)
    points, person = Points(office, state, copies), await enter(office)
    points.is_on = True
    first = await person.ask(request, REQUEST_ID)
    points.reach("after the commit")
    points.is_on = False
    assert not isinstance(first, results.Refused), first
    await office.store.close()
    after = content(state)
    assert after != before
    for name, copy in points:
        found = content(copy)
        assert found in (before, after), f"half a change {name}: {differing(found, before)} {differing(found, after)}"
        office = await opened(copy)
        person = await enter(office)
        for _ in range(2):
            assert essence(await person.ask(request, REQUEST_ID)) == essence(first), f"another outcome {name}"
        await office.store.close()
        assert content(copy) == after, f"another state {name}"
    return points.names


@pytest.mark.parametrize("kind", CHANGES, ids=lambda kind: kind.__name__)
async def test_a_change_is_whole_or_not_there_and_a_retry_returns_its_first_outcome(
    kind: type, state: Path, tmp_path: Path
) -> None:
    user_id, request = CHANGES[kind]
    names = await check_every_point(state, tmp_path / "copies", lambda office: entered(office, user_id), request)
    assert len(names) >= 6
    assert "before the commit" in names


async def test_the_same_holds_for_making_an_account(state: Path, tmp_path: Path) -> None:
    async def strange(office: Office) -> Person:
        return office.stranger()

    request = requests.CreateUser("new", "pw new")
    await check_every_point(state, tmp_path / "copies", strange, request)


async def test_the_same_holds_for_another_password(state: Path, tmp_path: Path) -> None:
    async def with_either(office: Office) -> Person:
        person = office.stranger()
        if isinstance(await person.login("ann", "pw ann"), results.Refused):
            assert isinstance(await person.login("ann", "another"), results.LoggedIn)
        return person

    await check_every_point(state, tmp_path / "copies", with_either, requests.ChangePassword("pw ann", "another"))


def test_no_request_that_changes_something_is_left_out() -> None:
    """Together they are all that may be asked (tests/tracker/service/test_handlers)."""
    in_one_transaction = {kind: each for kind, each in HANDLERS.items() if isinstance(each, Handler)}
    changing = {kind for kind, handler in in_one_transaction.items() if handler.is_change}
    of_accounts = set(HANDLERS) - set(in_one_transaction) - _OF_THE_SESSION_ALONE
    assert changing | of_accounts == {*CHANGES, requests.CreateUser, requests.ChangePassword}
