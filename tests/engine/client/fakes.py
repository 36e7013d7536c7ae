"""What stands around the parts of a client in their tests: a tracker, a coordinator, files it serves. No process, no
socket; the ledger, the part files and the files of the user are real ones in a temporary folder.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.coordinator.coordinator import DownloadTask
from engine.coordinator.download.download import Download
from engine.coordinator.download.local_copies import LocalCopies
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.peer_links import PeerAddress
from engine.coordinator.serving import MARKS_MOVED
from engine.errors import ShoalError, StorageError
from engine.ipc import orders
from engine.settings import Settings
from engine.storage.ledger import SharedFile
from engine.storage.manifest import Manifest, piece_hasher
from engine.storage.part_file import PartFiles
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry
from tests.engine.client.sharing.test_share_reading import FakeHashing
from tracker.client.delegate import TrackerDelegate
from tracker.client.errors import NoTracker, TrackerRefused
from tracker.client.identity import Identity
from tracker.protocol import manifests, requests, results
from tracker.protocol.authority import make_authority

GROUP = "lab"


def manifest_of(content: bytes) -> Manifest:
    geometry = Geometry.of_size(len(content))
    leaves = b""
    for piece in range(geometry.piece_count):
        hasher = piece_hasher()
        hasher.update(content[geometry.offset_of(piece) :][: geometry.length_of(piece)])
        leaves += hasher.digest()
    return Manifest.of_leaves(geometry, leaves)


class FakeServing:
    """Serves whatever carries its marks; remembers what it told the workers."""

    def __init__(self, file_ids: Iterator[int] | None = None) -> None:
        self.served: dict[int, SharedFile] = {}
        self.suspended: set[tuple[str, bytes]] = set()
        self._descriptors: dict[int, int] = {}
        self._file_ids = file_ids or itertools.count(1)

    def begin(self, share: SharedFile) -> int:
        try:
            stamp = Stamp.of(os.stat(share.path))
        except OSError as error:
            raise StorageError(str(error), "gone") from error
        if stamp != share.stamp:
            raise StorageError("other marks", MARKS_MOVED)
        number = next(self._file_ids)
        self.take_over(number, share)
        return number

    def take_over(self, number: int, share: SharedFile) -> None:
        self.served[number] = share
        self._descriptors[number] = os.open(share.path, os.O_RDONLY)
        self.suspended.discard((share.group_id, share.root))

    def suspend(self, file_id: int, code: str, reason: str) -> int:
        share = self.served.pop(file_id)
        self.suspended.add((share.group_id, share.root))
        return self._descriptors.pop(file_id)

    def end(self, file_id: int, reason: str) -> None:
        if self.served.pop(file_id, None) is not None:
            os.close(self._descriptors.pop(file_id))

    def end_all(self) -> None:
        for number in list(self.served):
            self.end(number, "")
        self.suspended.clear()

    def release(self, group_id: str, root: bytes) -> None:
        self.suspended.discard((group_id, root))

    def duplicate(self, file_id: int) -> tuple[int, str]:
        return os.dup(self._descriptors[file_id]), self.served[file_id].path

    def has(self, group_id: str, root: bytes) -> bool:
        return (group_id, root) in {(share.group_id, share.root) for share in self.served.values()}

    def is_suspended(self, group_id: str, root: bytes) -> bool:
        return (group_id, root) in self.suspended

    def swarms(self) -> set[tuple[str, bytes]]:
        return {(share.group_id, share.root) for share in self.served.values()} | self.suspended


class FakeHashJobs(FakeHashing):
    """Waits before it reads, if it should."""

    def __init__(self) -> None:
        super().__init__()
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def hash_file(self, descriptor: int, geometry: Geometry, on_progress: Any = None) -> bytes:
        await self.may_read.wait()
        if on_progress is not None:
            on_progress(geometry.size_bytes, geometry.size_bytes)
        return await super().hash_file(descriptor, geometry, on_progress)

    async def hash_pieces(self, descriptor: int, geometry: Geometry, pieces: list[int]) -> Any:
        leaves = await FakeHashing().hash_file(descriptor, geometry)
        (piece,) = pieces
        return Manifest.of_leaves(geometry, leaves).leaves[piece : piece + 1]


class FakeCoordinator:
    """Downloads begin, and end as the test says (`complete`, `fail`)."""

    def __init__(self, settings: Settings | None = None, check_ticket: object = None, directory: Any = None) -> None:
        self._file_ids = itertools.count(1)
        self.serving, self.hash_jobs = FakeServing(self._file_ids), FakeHashJobs()
        self.copies = LocalCopies(cast(Any, self.serving), directory)
        self.identity: orders.Configure | None = None
        self.epochs: list[tuple[str, int, str, bytes]] = []
        self.joined: list[tuple[str, bytes, PeerAddress]] = []
        self.fetched_from: list[list[PeerAddress]] = []
        self._services: Any = SimpleNamespace(settings=Settings(), part_files=PartFiles(0))
        self._verdicts: dict[int, ShoalError | None] = {}
        self._outcomes: dict[int, asyncio.Future[Stamp | None]] = {}
        self._tasks: dict[int, DownloadTask] = {}

    async def start(self) -> None: ...

    async def close(self) -> None:
        await self.stop()

    async def accept(self, link: object) -> None: ...

    def configure(self, identity: orders.Configure) -> None:
        self.identity = identity

    def raise_epoch(self, group_id: str, epoch: int, removed: str, spared: bytes = b"") -> None:
        self.epochs.append((group_id, epoch, removed, spared))

    def peer_joined(self, group_id: str, root: bytes, peer: PeerAddress) -> None:
        self.joined.append((group_id, root, peer))

    async def stop(self) -> None:
        self.identity = None
        await asyncio.sleep(0)  # as the real one: a download has to begin before it can end in order
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self.serving.end_all()

    def fetch(
        self, group_id: str, name: str, target: Path, manifest: Manifest, peers: list[PeerAddress]
    ) -> tuple[Download, DownloadTask]:
        file_id = next(self._file_ids)
        self.fetched_from.append(list(peers))
        download = Download(WantedFile(file_id, group_id, name, target, manifest), self._services, peers)
        self.copies.enter(download)
        self._outcomes[file_id] = asyncio.get_running_loop().create_future()
        self._tasks[file_id] = task = asyncio.create_task(self._run(download))
        return download, task

    async def halt(self, download: Download, verdict: ShoalError | None = None) -> None:
        task = self._tasks.get(download.wanted.file_id)
        if task is not None:
            self._verdicts[download.wanted.file_id] = verdict
            await asyncio.sleep(0)  # see stop
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def complete(self, download: Download, content: bytes) -> None:
        """All of it is here: as the real one, under its name and served."""
        wanted, part = download.wanted, download.store.part
        part.write_bytes(content)
        part.rename(wanted.target)
        stamp = Stamp.of(wanted.target.stat())
        root, geometry = wanted.manifest.root, wanted.manifest.geometry
        share = SharedFile(wanted.group_id, wanted.name, str(wanted.target), root, geometry, stamp)
        download.end("complete")
        self.serving.take_over(wanted.file_id, share)
        await self._end(download, stamp)

    async def fail(self, download: Download, error: ShoalError) -> None:
        download.end("failed", error)
        await self._end(download, None)

    async def _end(self, download: Download, stamp: Stamp | None) -> None:
        self._outcomes[download.wanted.file_id].set_result(stamp)
        await asyncio.wait({self._tasks[download.wanted.file_id]})

    async def _run(self, download: Download) -> Stamp | None:
        try:
            return await self._outcomes[download.wanted.file_id]
        except asyncio.CancelledError:
            verdict = self._verdicts.get(download.wanted.file_id)
            download.end("failed" if verdict else "paused", verdict)
            raise
        finally:
            self.copies.leave(download)
            download.store.close()
            del self._tasks[download.wanted.file_id]


class FakeTracker:
    """What every client of a test asks: keeps what it was asked, and answers by the type of the request."""

    def __init__(self) -> None:
        _, self.authority_pem = make_authority(time.time())
        self.asked: list[object] = []
        self.unknown: list[requests.Share] = []
        self.answers: dict[type, results.Result | Exception] = {
            requests.GetTicket: results.Ticket("ticket", time.time() + 600, 1, False, GROUP),
            requests.Withdraw: results.Withdrawn(True),
            requests.LeaveGroup: results.Left(None, False),
            manifests.Publish: manifests.Published(False),
        }
        self.log: list[str] = []
        """Names of what was asked, in order."""

    def answer(self, request: object) -> results.Result:
        self.asked.append(request)
        self.log.append(type(request).__name__)
        answer = self.answers.get(type(request), results.Done())
        if isinstance(answer, Exception):
            raise answer
        return answer

    def has(self, name: str, manifest: Manifest) -> None:
        """The group lists this file."""
        geometry = manifest.geometry
        leaves = manifest.leaves.tobytes()
        self.answers[manifests.FetchManifest] = manifests.Manifest(
            name, geometry.size_bytes, geometry.piece_bytes, manifest.root, leaves, "ann"
        )

    def refuse(self, request: type, code: str) -> None:
        self.answers[request] = TrackerRefused(code, f"refused: {code}")

    def is_away(self) -> None:
        for request in (requests.GetTicket, requests.Withdraw, manifests.FetchManifest, manifests.Publish):
            self.answers[request] = NoTracker("no tracker answers")


class FakeTrackerClient:
    """In the place of tracker.client.TrackerClient."""

    def __init__(self, tracker: FakeTracker, listener: TrackerDelegate) -> None:
        self.tracker, self.listener = tracker, listener
        self.identity: Identity | None = None
        self.is_closed = False

    async def start(self) -> None: ...

    async def close(self) -> None:
        self.is_closed = True

    async def login(self, user_id: str, password: str, key: Ed25519PrivateKey) -> None:
        self.tracker.answer(requests.Login(user_id, password, key.public_key().public_bytes_raw(), b""))
        self.identity = Identity(user_id.lower(), key, b"certificate", time.time() + 600, {})

    async def logout(self) -> None:
        self.tracker.log.append("logout")
        self.identity = None

    async def call(self, request: requests.Request) -> results.Result:
        return self.tracker.answer(request)

    async def revoke_others(self, request: requests.Request) -> None:
        self.tracker.answer(request)

    async def announce_all(self, message: requests.Announce | requests.AnnounceChange) -> list[results.Announced]:
        self.tracker.asked.append(message)
        self.tracker.log.append(type(message).__name__)
        await asyncio.sleep(0)  # it is on its way
        return [results.Announced(self.tracker.unknown)]


class FakeListener:
    """In the place of the listening socket."""

    def __init__(self, host: str, port: int, accept: object, dial_limit: object) -> None:
        self.port = 7001
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True
