"""A whole client with everything outside it made of fakes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from engine.client import client as client_file
from engine.client import session as session_file
from engine.client.client import Client
from engine.coordinator.download.download import Download
from engine.reports import Event, Notice
from tests.engine.client.fakes import FakeCoordinator, FakeListener, FakeTracker, FakeTrackerClient
from tracker.client.delegate import TrackerDelegate


class House:
    """A client, and what is around it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tracker = FakeTracker()
        self.events: list[Event] = []
        self._clients: list[Client] = []
        (folder / "tracker_info.txt").write_text("127.0.0.1 9000\n")

    async def client(self, state: str = "state") -> Client:
        client = await Client.start("127.0.0.1", 0, self.folder / "tracker_info.txt", self.folder / state)
        client.subscribe(self.events.append)
        self._clients.append(client)
        return client

    async def close(self) -> None:
        for client in self._clients:
            await client.close()

    async def end(self, client: Client) -> None:
        self._clients.remove(client)
        await client.close()

    def coordinator(self, client: Client) -> FakeCoordinator:
        return cast(FakeCoordinator, client._coordinator)

    def download(self, client: Client, key: tuple[str, str]) -> Download:
        return client._downloads._downloads[key]

    def codes(self) -> list[str]:
        """Of what a user was told."""
        return [event.code for event in self.events if isinstance(event, Notice)]

    def file(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        return path


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    house = House(tmp_path)

    async def find_authority(addresses: object, timeout_s: float) -> bytes:
        return house.tracker.authority_pem

    def tracker_client(addresses: object, authority_pem: bytes, listener: TrackerDelegate) -> Any:
        return FakeTrackerClient(house.tracker, listener)

    monkeypatch.setattr(session_file, "find_authority", find_authority)
    monkeypatch.setattr(session_file, "TrackerClient", tracker_client)
    monkeypatch.setattr(client_file, "Coordinator", FakeCoordinator)
    monkeypatch.setattr(client_file, "Listener", FakeListener)
    yield house
    await house.close()
