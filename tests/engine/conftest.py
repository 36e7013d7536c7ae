"""Real coordinators with real workers and sockets, each with a directory that is a fake."""

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.coordinator.coordinator import Coordinator, DownloadTask
from engine.coordinator.download.download import Download
from engine.ipc import reports
from engine.net.dial_limit import DialLimit
from engine.net.listener import Listener
from engine.settings import Settings
from engine.storage.ledger import SharedFile
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry
from tests.testkit.builders import write_content
from tests.testkit.fakes import Club, FakeDirectory, Member
from tracker.protocol import tickets

GROUP = "lab"


def link_count(download: Download) -> int:
    """On how many links the file is open for this client."""
    return len(download.fetching.snapshot(0.0)) if download.fetching is not None else 0


@dataclass
class Node:
    """One client's engine, without a tracker."""

    member: Member
    directory: FakeDirectory
    coordinator: Coordinator
    listener: Listener
    refusals: list[str] = field(default_factory=list)
    lost_links: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Overhear what the workers report."""
        handle = self.coordinator._on_report

        def overhear(worker: int, news: reports.AnyReport) -> None:
            if isinstance(news, reports.ChannelRefused):
                self.refusals.append(news.code)
            elif isinstance(news, reports.LinkDown):
                self.lost_links.append(news.reason)
            handle(worker, news)

        self.coordinator._pool._on_report = overhear

    def worker_pids(self) -> list[int]:
        """Process ids of the living workers of its pool."""
        workers = self.coordinator._pool._workers
        return [worker.process.pid for worker in workers if worker is not None and worker.process.pid]

    def knows(self, *others: "Node") -> None:
        self.directory.peers = [other.member.at(other.listener.port) for other in others]

    def serve(self, path: Path, manifest: Manifest) -> int:
        share = SharedFile(GROUP, path.name, str(path), manifest.root, manifest.geometry, Stamp.of(path.stat()))
        return self.coordinator.serving.begin(share)

    def fetch(self, target: Path, manifest: Manifest) -> tuple[Download, DownloadTask]:
        return self.coordinator.fetch(GROUP, target.name, target, manifest)


@dataclass
class World:
    """Makes nodes of one club and ends them."""

    folder: Path
    is_open: bool
    club: Club = field(default_factory=Club)
    nodes: list[Node] = field(default_factory=list)

    async def node(self, user_id: str, settings: Settings | None = None, club: Club | None = None) -> Node:
        member = (club or self.club).member(user_id)
        directory = FakeDirectory(member)
        directory.is_open = self.is_open
        coordinator = Coordinator(settings or Settings(workers=2), tickets.check, directory)
        await coordinator.start()
        coordinator.configure(member.identity)
        node = Node(member, directory, coordinator, Listener("127.0.0.1", 0, coordinator.accept, DialLimit(Settings())))
        self.nodes.append(node)
        return node

    async def file(
        self, name: str, size_bytes: int, hasher: Node, piece_bytes: int | None = None
    ) -> tuple[Path, Manifest]:
        """A file, and its manifest, in pieces of the usual size or of another."""
        path = write_content(self.folder / name, size_bytes)
        geometry = Geometry(size_bytes, piece_bytes) if piece_bytes else Geometry.of_size(size_bytes)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            leaves = await hasher.coordinator.hash_jobs.hash_file(descriptor, geometry)
            return path, Manifest.of_leaves(geometry, leaves)
        finally:
            os.close(descriptor)


@pytest.fixture(params=["sealed", "open"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """In both channels: what holds for one holds for the other."""
    world = World(tmp_path, is_open=request.param == "open")
    yield world
    for node in world.nodes:
        node.listener.close()
        await node.coordinator.close()
