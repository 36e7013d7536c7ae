"""A download with a part file of its own and no process beside it: the pool is a fake that keeps its orders."""

import itertools
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.coordinator.download.download import Download
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.hash_jobs import HashJobs
from engine.coordinator.peer_links import PeerAddress, PeerLink, PeerLinks
from engine.coordinator.services import Services
from engine.settings import Settings
from engine.storage.manifest import Manifest
from engine.storage.part_file import PartFiles
from engine.swarm.geometry import Geometry
from tests.testkit.fakes import Club, FakeDirectory, FakePool

PIECES, PIECE_BYTES = 4, 1 << 18


@dataclass
class Scene:
    """`link`: one more link to a peer of this account, with the file on it."""

    pool: FakePool
    directory: FakeDirectory
    services: Services
    download: Download

    @property
    def file_id(self) -> int:
        return self.download.wanted.file_id

    def link(self, user_id: str, *, is_up: bool = True, is_hint: bool = False) -> PeerLink:
        links = self.services.links
        number = sum(1 for _ in links)
        peer = PeerAddress(user_id, "192.0.2.1", 7000 + number, user_id.encode().ljust(32, b"."))
        link, _ = links.link_to(peer, number % 2, is_open=False, is_hint=is_hint)
        link.is_up = is_up
        link.files.add(self.file_id)
        if not is_hint:
            self.download.peer_book.meet(peer)
        return link


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    geometry = Geometry(PIECES * PIECE_BYTES, PIECE_BYTES)
    manifest = Manifest.of_leaves(geometry, np.arange(PIECES * 32, dtype=np.uint8).tobytes())
    pool, directory, settings = FakePool(), FakeDirectory(Club().member("leecher")), Settings()
    as_pool: Any = pool
    services = Services(
        settings, as_pool, PeerLinks(settings), HashJobs(as_pool, settings.hash_job_bytes),
        PartFiles(0), directory, itertools.count(1),
    )  # fmt: skip
    download = Download(WantedFile(7, "lab", "data.bin", tmp_path / "data.bin", manifest), services)
    yield Scene(pool, directory, services, download)
    download.store.close()
