"""The client's pool of worker processes: started, spoken to, replaced when one dies, ended.

Forked from a fork server that has the worker module loaded and nothing else: a worker inherits no socket, no lock and
no thread of the client, so one can be replaced at any time. `multiprocessing.Pool` and `Queue` are not used: a worker
killed by a signal hangs the one for ever, and the other brings a thread.

A worker that does not answer is ended, unless it waits for a disk, where ending it would not help. Beats are counted,
not seconds, so that a client that was asleep itself blames no worker. A pool that is given nothing to do is asked for
life signs every ten seconds only; from the first order on, and while one is missing, every second.

Workers are known by number, from 0 on; a replacement takes the number of the dead one.

Invariant: a number always names a live worker or one about to be; `on_death` is called once a death, after the last
report of the dead one and before the first order to its successor.
"""

import asyncio
import contextlib
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before numpy is imported anywhere: no threads to fork beside

import multiprocessing
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess

import psutil

from engine.errors import LocalError
from engine.ipc import fork_folder, orders, reports
from engine.ipc.message_socket import MessageSocket
from engine.ipc.slot_board import create_board
from engine.ipc.ticket_check import CheckTicket
from engine.process.background_tasks import BackgroundTasks
from engine.settings import Settings
from engine.worker.worker_process import main

_WORKERS_MIN, _WORKERS_MAX = 2, 8
_END_GRACE_S = 2.0
_BEAT_S, _IDLE_BEAT_S = 1.0, 10.0
_BUSY_BEATS = 5
"""So many beats after the last order or report a pool counts as idle, and asks for life signs more seldom."""
_SPAWN_AGAIN_S, _SPAWN_AGAIN_MAX_S = 0.1, 5.0
_BEAT, _FENCE = 0, 1
"""The first numbers of pings; fences count on from theirs."""


def usable_workers(settings: Settings) -> int:
    """As many as this process may use cores, within reason."""
    cores = len(psutil.Process().cpu_affinity() or [0])
    return settings.workers or min(max(cores, _WORKERS_MIN), _WORKERS_MAX)


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    socket: MessageSocket[reports.AnyReport]
    beats_missed: int = 0
    is_hung: bool = False


class Pool:
    """A fixed number of workers."""

    def __init__(
        self,
        settings: Settings,
        check_ticket: CheckTicket,
        on_report: Callable[[int, reports.AnyReport], None],
        on_death: Callable[[int, str], None],
        on_birth: Callable[[int], None],
    ) -> None:
        """The callbacks get the number of the worker first; `on_death` also how it died, in words; `on_birth` says that
        the successor of the dead one takes orders.
        """
        self._settings = settings
        self._check_ticket = check_ticket
        self._on_report, self._on_death, self._on_birth = on_report, on_death, on_birth
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["engine.worker.worker_process", check_ticket.__module__])
        self._workers: list[_Worker | None] = []
        self._tasks = BackgroundTasks()
        self._fences: dict[int, tuple[set[int], asyncio.Future[None]]] = {}
        self._next_fence = _FENCE
        self._is_closing = False
        self._is_idle = False
        self._stirred = asyncio.Event()
        self._board_descriptor: int | None = None

    async def start(self) -> None:
        """Ready for orders when it returns. Raises LocalError."""
        self._workers = [None] * usable_workers(self._settings)
        self._board, self._board_descriptor = create_board(len(self._workers))
        try:
            for worker_number in range(len(self._workers)):
                self._workers[worker_number] = await self._spawn(worker_number)
        except (OSError, EOFError) as error:  # EOFError: what starts them was ended meanwhile
            await self.close()
            advice = "try again; if the path in TMPDIR is long, choose a shorter one"
            raise LocalError(f"cannot start the workers: {error}; {advice}", "no_workers") from error
        self._tasks.start(self._beat())

    @property
    def worker_numbers(self) -> list[int]:
        """Those that take orders now."""
        return [worker_number for worker_number, worker in enumerate(self._workers) if worker is not None]

    def send(self, worker_number: int, order: orders.AnyOrder, descriptors: Sequence[int] = ()) -> None:
        """To one worker; an order to one that just died is lost, and its death is reported."""
        worker = self._workers[worker_number]
        if worker is not None:
            self._stirred.set()
            worker.socket.send(order, descriptors)

    def send_all(self, order: orders.AnyOrder, descriptors: Sequence[int] = ()) -> None:
        for worker_number in self.worker_numbers:
            self.send(worker_number, order, descriptors)

    async def fence(self, timeout_s: float) -> bool:
        """Wait until every order so far was carried out, or its worker is dead. False: a worker does not answer."""
        number, self._next_fence = self._next_fence, self._next_fence + 1
        passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._fences[number] = (set(self.worker_numbers), passed)
        self.send_all(orders.Ping(number))
        try:
            if waiting[0]:
                await asyncio.wait_for(passed, timeout_s)
        except TimeoutError:
            return False
        finally:
            del self._fences[number]
        return True

    async def close(self) -> None:
        """Ends all workers, by force if they do not listen."""
        self._is_closing = True
        await self._tasks.cancel_all()
        workers = [worker for worker in self._workers if worker is not None]
        for worker in workers:
            worker.socket.send(orders.Farewell())
            worker.socket.close()
        for worker in workers:
            await asyncio.to_thread(worker.process.join, _END_GRACE_S)
            if worker.process.is_alive():
                worker.process.kill()
                await asyncio.to_thread(worker.process.join)
            worker.process.close()
        self._workers = []
        if self._board_descriptor is not None:
            os.close(self._board_descriptor)
            self._board_descriptor = None

    async def _spawn(self, worker_number: int) -> _Worker:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            folder = fork_folder.path_of_this_process()
            arguments = (theirs, self._settings, self._check_ticket, os.getpid(), folder)
            name = f"shoal-worker-{worker_number}"
            process = self._context.Process(target=main, args=arguments, name=name, daemon=True)
            starting = asyncio.ensure_future(asyncio.to_thread(process.start))
            try:
                await asyncio.shield(starting)
            except BaseException:
                await asyncio.wait({starting})  # the thread cannot be called back; its worker finds the socket closed
                ours.close()
                raise
        connection: MessageSocket[reports.AnyReport] = MessageSocket(
            ours,
            reports.AnyReport,
            lambda report, _: self._heard(worker_number, report),
            lambda: self._died(worker_number),
        )
        assert self._board_descriptor is not None
        connection.send(orders.ShareSlots(worker_number, len(self._workers)), [self._board_descriptor])
        return _Worker(process, connection)

    # ------------------------------------------------------------ life signs

    def _heard(self, worker_number: int, report: reports.AnyReport) -> None:
        if not isinstance(report, reports.Pong):
            self._stirred.set()
            self._on_report(worker_number, report)
        elif report.number == _BEAT:
            worker = self._workers[worker_number]
            if worker is not None:
                worker.beats_missed = 0
        else:
            self._pass_fence(report.number, worker_number)

    def _pass_fence(self, number: int, worker_number: int) -> None:
        waiting, passed = self._fences.get(number, (set[int](), None))
        waiting.discard(worker_number)
        if passed is not None and not waiting and not passed.done():
            passed.set_result(None)

    async def _beat(self) -> None:
        quiet_beats = 0
        while True:
            for worker in filter(None, self._workers):
                if worker.beats_missed >= self._settings.worker_beats_missed_max and not _waits_for_disk(worker):
                    worker.is_hung = True
                    worker.process.kill()  # its socket closes: from here on it is a death like any other
                worker.beats_missed += 1
                worker.socket.send(orders.Ping(_BEAT))
            await asyncio.sleep(_BEAT_S)
            quiet_beats = 0 if self._stirred.is_set() or self._is_missing_some() else quiet_beats + 1
            self._stirred.clear()
            self._is_idle = quiet_beats >= _BUSY_BEATS
            if self._is_idle:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_IDLE_BEAT_S - _BEAT_S):
                        await self._stirred.wait()

    def _is_missing_some(self) -> bool:
        return any(worker.beats_missed for worker in self._workers if worker is not None)

    def _died(self, worker_number: int) -> None:
        worker, self._workers[worker_number] = self._workers[worker_number], None
        if self._is_closing or worker is None:
            return
        self._board.clear(worker_number)
        self._on_death(worker_number, "did not answer, was ended" if worker.is_hung else "died")
        for number in list(self._fences):
            self._pass_fence(number, worker_number)
        self._tasks.start(self._replace(worker_number, worker))

    async def _replace(self, worker_number: int, dead: _Worker) -> None:
        # Its socket is closed, so it does nothing any more; it may still be on its way out.
        if dead.process.is_alive():
            dead.process.kill()
        await asyncio.to_thread(dead.process.join)
        dead.process.close()
        self._workers[worker_number] = await self._spawn_at_last(worker_number)
        self._on_birth(worker_number)

    async def _spawn_at_last(self, worker_number: int) -> _Worker:
        """The machine may be out of processes, memory or descriptors for a while."""
        delay_s = _SPAWN_AGAIN_S
        while True:
            try:
                return await self._spawn(worker_number)
            except (OSError, EOFError):
                await asyncio.sleep(delay_s)
                delay_s = min(2 * delay_s, _SPAWN_AGAIN_MAX_S)


def _waits_for_disk(worker: _Worker) -> bool:
    try:
        return bool(psutil.Process(worker.process.pid).status() == psutil.STATUS_DISK_SLEEP)
    except psutil.Error:
        return False
