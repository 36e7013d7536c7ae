"""Hashing in the pool: the pieces of a file are cut into runs, each worker has one run at a time, results are put in
order.

When a worker dies its run is given to another. A job that has lost two workers is given up, since then the file is to
blame.
Not here: reading and hashing (worker.hashing), comparing with a manifest (recheck, engine.client.sharing).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from engine.coordinator.pool import Pool
from engine.errors import StorageError
from engine.ipc import orders, reports
from engine.storage.manifest import LEAF_BYTES, Leaves
from engine.swarm.geometry import Geometry

_DEATHS_MAX = 2


@dataclass(slots=True, eq=False)
class _Job:
    job_id: int
    descriptor: int
    geometry: Geometry
    waiting: deque[tuple[int, int]]
    leaves: Leaves
    done: "asyncio.Future[None]"
    on_progress: Callable[[int, int], None] | None
    total_bytes: int
    under_way: dict[int, tuple[int, int]] = field(default_factory=dict)
    hashed_bytes: int = 0
    deaths: int = 0


class HashJobs:
    """Jobs share the workers fairly: a free worker takes a run of the oldest job that has one."""

    def __init__(self, pool: Pool, run_bytes: int) -> None:
        self._pool = pool
        self._run_bytes = run_bytes
        self._jobs: dict[int, _Job] = {}
        self._next_id = 1

    async def hash_file(
        self, descriptor: int, geometry: Geometry, on_progress: Callable[[int, int], None] | None = None
    ) -> bytes:
        """32 bytes a piece, in order; `on_progress(hashed, total)` in bytes. Raises StorageError."""
        return (await self.hash_pieces(descriptor, geometry, range(geometry.piece_count), on_progress)).tobytes()

    async def hash_pieces(
        self,
        descriptor: int,
        geometry: Geometry,
        pieces: Sequence[int],
        on_progress: Callable[[int, int], None] | None = None,
    ) -> Leaves:
        """Shape (len(pieces), 32), for rising `pieces`. Raises StorageError."""
        runs = deque(_runs(pieces, max(1, self._run_bytes // geometry.piece_bytes)))
        total_bytes = sum(geometry.length_of(piece) for piece in pieces)
        done = asyncio.get_running_loop().create_future()
        leaves = np.zeros((geometry.piece_count, LEAF_BYTES), np.uint8)
        job = _Job(self._next_id, descriptor, geometry, runs, leaves, done, on_progress, total_bytes)
        self._next_id += 1
        if runs:
            self._jobs[job.job_id] = job
            self._hand_out()
            try:
                await done
            finally:
                self._jobs.pop(job.job_id, None)
        return leaves[np.asarray(pieces, np.int64)]

    def hashed(self, worker: int, report: reports.PiecesHashed) -> None:
        """A run is done. News of a job that was given up is ignored."""
        job = self._jobs.get(report.job_id)
        if job is None or worker not in job.under_way:
            return
        first, count = job.under_way.pop(worker)
        job.leaves[first : first + count] = np.frombuffer(report.leaves, np.uint8).reshape(count, LEAF_BYTES)
        job.hashed_bytes += sum(job.geometry.length_of(piece) for piece in range(first, first + count))
        if job.on_progress is not None:
            job.on_progress(job.hashed_bytes, job.total_bytes)
        if not job.waiting and not job.under_way and not job.done.done():
            job.done.set_result(None)
        self._hand_out()

    def failed(self, report: reports.HashFailed) -> None:
        job = self._jobs.pop(report.job_id, None)
        if job is not None and not job.done.done():
            job.done.set_exception(StorageError(f"cannot read the file: {report.reason}"))
        self._hand_out()

    def worker_died(self, worker: int) -> None:
        for job in list(self._jobs.values()):
            run = job.under_way.pop(worker, None)
            if run is None:
                continue
            job.deaths += 1
            if job.deaths < _DEATHS_MAX:
                job.waiting.appendleft(run)
            elif not job.done.done():
                job.done.set_exception(StorageError("the file could not be read: it kept changing while it was hashed"))
        self._hand_out()

    def worker_born(self) -> None:
        self._hand_out()

    def _hand_out(self) -> None:
        busy = {worker for job in self._jobs.values() for worker in job.under_way}
        for worker in self._pool.worker_numbers:
            job = next((job for job in self._jobs.values() if job.waiting), None)
            if job is None:
                return
            if worker in busy:
                continue
            first, count = job.under_way[worker] = job.waiting.popleft()
            geometry = job.geometry
            order = orders.HashPieces(job.job_id, geometry.size_bytes, geometry.piece_bytes, first, count)
            self._pool.send(worker, order, [job.descriptor])


def _runs(pieces: Sequence[int], longest: int) -> Iterator[tuple[int, int]]:
    """Neighbours together: (first, count), at most `longest` each."""
    first = count = 0
    for piece in pieces:
        if count and piece == first + count and count < longest:
            count += 1
            continue
        if count:
            yield first, count
        first, count = piece, 1
    if count:
        yield first, count
