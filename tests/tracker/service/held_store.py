"""Trackers of one store whose changes a test lets through in the order it chooses, and the people of the tests there.

For what happens between the two moments of a request: when it is allowed, and when it acts.
"""

import asyncio
import random
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.tracker.conftest import CHEAP, START_S, Clock, Office, Person
from tracker.protocol import invite_codes, manifests, requests, results
from tracker.protocol.requests import login_challenge
from tracker.protocol.results import LoggedIn
from tracker.service.dispatch import Service
from tracker.service.passwords import Passwords
from tracker.settings import Policy
from tracker.store import accounts, groups, invites
from tracker.store.keyring import load_keyring
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store

LAB, DEN = "lab", "den"
ROOT = bytes(32)
INVITE = bytes(range(16))

Asking = Callable[[], Coroutine[Any, Any, results.Result]]
Withdrawing = Coroutine[Any, Any, object]


class Line:
    """The changes of all trackers of a database, as far as a test wants to know of them and hold them up."""

    def __init__(self) -> None:
        self.waiting = 0
        """Changes that want the write lock."""
        self.after_next_commit: asyncio.Event | None = None
        """Whoever makes the next change goes on when this is set; the change is made by then."""
        self.paused = asyncio.Event()


class HeldStore:
    """One tracker's store."""

    def __init__(self, store: Store, line: Line) -> None:
        self._store = store
        self._line = line
        self.reading, self.data_version, self.close = store.reading, store.data_version, store.close

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        self._line.waiting += 1
        async with self._store.changing() as db:
            self._line.waiting -= 1
            go_on, self._line.after_next_commit = self._line.after_next_commit, None
            yield db
        if go_on is not None:
            self._line.paused.set()
            await go_on.wait()


class Scene:
    """ann owns the lab, with bob in it and cyd at its door, and the den, alone. eve has an account.

    `office` is a tracker, `place` another one of the same store, or the same.
    """

    def __init__(self, office: Office, place: Office, line: Line) -> None:
        self.office = office
        self.place = place
        self.line = line

    async def ask_too_late(
        self, withdrawal: Withdrawing, ask: Asking, withdrawn_at: Office | None = None
    ) -> results.Result:
        """A change that was sent in time and has to wait until the withdrawal is committed (at the office)."""
        async with (withdrawn_at or self.office).store.changing():
            withdrawing = asyncio.ensure_future(withdrawal)
            await until(lambda: self.line.waiting == 1)
            asking = asyncio.ensure_future(ask())
            await until(lambda: self.line.waiting == 2 or asking.done())
        await withdrawing
        return await asking

    async def ask_and_let_time_pass(self, seconds: float, ask: Asking, *, waits: bool) -> results.Result:
        """A change that was sent in time and has to wait for so long; or what does not wait, so much later."""
        if not waits:
            self.office.clock.now_s += seconds
            return await ask()
        async with self.office.store.changing():
            asking = asyncio.ensure_future(ask())
            await until(lambda: self.line.waiting == 1 or asking.done())
            self.office.clock.now_s += seconds
        return await asking

    async def ask_at_once(self, withdrawal: Withdrawing, ask: Asking) -> results.Result:
        """While the withdrawal is committed, and nobody has heard of it."""
        async with self.after_commit(withdrawal):
            return await ask()

    @asynccontextmanager
    async def after_commit(self, change: Withdrawing) -> AsyncIterator[None]:
        """The block runs when the change is committed and whoever made it has not gone on yet."""
        go_on = self.line.after_next_commit = asyncio.Event()
        making = asyncio.ensure_future(change)
        await until(self.line.paused.is_set)
        self.line.paused.clear()
        yield
        go_on.set()
        await making


async def until(is_there: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_there():
            await asyncio.sleep(0.001)


async def enter(office: Office, user_id: str, password: str = "") -> Person:
    """Logged in with a key of its own."""
    person = office.stranger()
    assert isinstance(await person.login(user_id, password or "pw " + user_id), LoggedIn)
    return person


async def resume(office: Office, key: Ed25519PrivateKey, logged_in: LoggedIn) -> tuple[Person, results.Result]:
    """On a new connection; with what was answered."""
    person = office.stranger()
    person.key = key
    proof = key.sign(login_challenge(person.connection.nonce, logged_in.user_id))
    return person, await person.ask(requests.Resume(logged_in.certificate_pem, proof))


async def _fill(folder: Path) -> None:
    store = await open_store(folder)
    office = Office(store, await load_keyring(store, START_S), Clock())
    async with store.changing() as db:
        for user_id in ("ann", "bob", "cyd", "eve"):
            await accounts.add_account(db, user_id, Passwords(CHEAP).hash_password("pw " + user_id), 0.0)
        for group_id in (LAB, DEN):
            await groups.add_group(db, group_id, "ann", False, 0.0)
        await groups.add_member(db, LAB, "bob", 1.0)
        await groups.add_request(db, LAB, "cyd", 0.0)
        await invites.add_invite(db, invite_codes.invite_digest(INVITE), "ann", START_S + 600)
    ann = await enter(office, "ann")
    await ann.ask(manifests.Publish(LAB, "data", 5, 1 << 18, ROOT, bytes(32)))
    await store.close()


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder, to be copied: making one takes longer than most tests here."""
    folder = tmp_path_factory.mktemp("filled")
    asyncio.run(_fill(folder))
    return folder


@pytest.fixture(params=[1, 2], ids=["one tracker", "two trackers"])
async def scene(tmp_path: Path, filled: Path, clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    """Accounts are for invited people there."""
    folder = tmp_path / "state"
    shutil.copytree(filled, folder)
    line, stores, offices = Line(), [await open_store(folder) for _ in range(request.param)], []
    authority = await load_keyring(stores[0], clock.now_s)
    for seed, store in enumerate(stores):
        office = Office(HeldStore(store, line), authority, clock)
        chance, policy = random.Random(seed), Policy("invite")
        office.service = Service(office.store, authority, Passwords(CHEAP), clock, chance, policy)
        offices.append(office)
    yield Scene(offices[0], offices[-1], line)
    for store in stores:
        await store.close()
