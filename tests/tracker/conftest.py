"""A whole tracker without a network (`Office`), and one with (`Town`): what most tests here start from."""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tracker.client.identity import Identity
from tracker.protocol import requests, results
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.authority import Authority
from tracker.protocol.events import Bulletin, Event
from tracker.protocol.requests import Announce, Call, Request, login_challenge
from tracker.protocol.results import Announced, LoggedIn, Result
from tracker.server.server import TrackerServer
from tracker.service.dispatch import Service
from tracker.service.live_sessions import Connection
from tracker.service.passwords import Cost, Passwords
from tracker.store.keyring import load_keyring
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store

CHEAP = Cost(passes=1, memory_kib=8)
START_S = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Person:
    """One connection to the service, as a client has it."""

    service: Service
    connection: Connection
    events: list[Event]
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    async def ask(self, request: Request, request_id: bytes | None = None) -> Result:
        return await self.service.answer(self.connection, Call(1, request_id or secrets.token_bytes(16), request))

    async def login(self, user_id: str, password: str) -> Result:
        proof = self.key.sign(login_challenge(self.connection.nonce, user_id))
        return await self.ask(requests.Login(user_id, password, self.public_key, proof))

    async def code(self, request: Request) -> str:
        """The error code of what is expected to be refused."""
        answer = await self.ask(request)
        assert isinstance(answer, results.Refused), answer
        return answer.code


class Office:
    def __init__(self, store: Store, authority: Authority, clock: Clock) -> None:
        self.store = store
        self.authority = authority
        self.clock = clock
        self.service = Service(store, authority, Passwords(CHEAP), clock, random.Random(1))

    def stranger(self, host: str = "192.0.2.1") -> Person:
        events: list[Event] = []

        def push(event: Event | Bulletin) -> None:
            events.append(event.event if isinstance(event, Bulletin) else event)

        return Person(self.service, Connection(secrets.token_bytes(32), host, push), events)

    async def enter(self, user_id: str, host: str = "192.0.2.1") -> Person:
        """A person with an account, logged in."""
        person = self.stranger(host)
        await person.ask(requests.CreateUser(user_id, "pw " + user_id))
        assert isinstance(await person.login(user_id, "pw " + user_id), LoggedIn)
        return person

    async def gather(self, group_id: str, *user_ids: str) -> list[Person]:
        """People in one group, which the first of them owns."""
        people = [await self.enter(user_id) for user_id in user_ids]
        assert await people[0].ask(requests.CreateGroup(group_id)) == results.Done()
        for user_id, person in zip(user_ids[1:], people[1:], strict=True):
            assert await person.ask(requests.JoinGroup(group_id)) == results.Done(group_id)
            assert await people[0].ask(requests.AcceptRequest(group_id, user_id)) == results.Done(group_id, user_id)
            self.clock.now_s += 1
        for person in people:
            person.events.clear()
        return people


def another_tracker(office: Office) -> Office:
    """Of the same store."""
    second = Office(office.store, office.authority, office.clock)
    second.service = Service(office.store, office.authority, Passwords(CHEAP), office.clock, random.Random(2))
    return second


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def office(tmp_path: Path, clock: Clock) -> AsyncIterator[Office]:
    store = await open_store(tmp_path / "state")
    yield Office(store, await load_keyring(store, clock.now_s), clock)
    await store.close()


@dataclass
class Listening:
    """One running tracker of a Town."""

    server: TrackerServer
    service: Service
    address: TrackerAddress
    store: Store


class Town:
    """Trackers on real sockets that share one state folder."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        self.trackers: list[Listening] = []
        self.authority_pem = b""

    async def open_tracker(self, port: int = 0) -> Listening:
        store = await open_store(self.state_dir)
        authority = await load_keyring(store, time.time())
        self.authority_pem = authority.pem
        service = Service(store, authority, Passwords(CHEAP), time.time, random.Random(1))
        server = TrackerServer(service, authority, time.time())
        port = await server.start("127.0.0.1", port)
        listening = Listening(server, service, TrackerAddress("127.0.0.1", port), store)
        self.trackers.append(listening)
        return listening

    async def shut(self, listening: Listening) -> None:
        self.trackers.remove(listening)
        await listening.server.close()
        await listening.store.close()


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    town = Town(tmp_path / "state")
    await town.open_tracker()
    yield town
    for listening in list(town.trackers):
        await town.shut(listening)


class Ear:
    """A TrackerDelegate that keeps what it hears and can be waited on."""

    def __init__(self) -> None:
        self.events: asyncio.Queue[Event] = asyncio.Queue()
        self.sessions: asyncio.Queue[int] = asyncio.Queue()
        self.identities: asyncio.Queue[Identity | None] = asyncio.Queue()
        self.shares: Announce | None = None

    def snapshot(self) -> Announce | None:
        return self.shares

    def on_event(self, event: Event) -> None:
        self.events.put_nowait(event)

    async def on_session(self, tracker_index: int, announced: Announced | None) -> None:
        self.sessions.put_nowait(tracker_index)

    def on_clock(self, tracker_index: int, ahead_s: float) -> None:
        self.ahead_s = ahead_s

    def on_identity(self, identity: Identity | None, reason: str) -> None:
        self.identities.put_nowait(identity)


@pytest.fixture
def make_ear() -> Callable[[], Ear]:
    return Ear
