"""One worker of the pool: it moves bytes for the coordinator, and decides nothing.

A worker owns its descriptors of the files. Orders come in, reports go out; in between, the links of its fetch side and
its serve side do their work on one event loop. Pieces of whole files are hashed in one thread beside the loop, so that
serving goes on.

Not here: the links to other peers (fetch_side), the links of those who fetch from this client (serve_side), the process
around the worker (worker_process), which piece is fetched from whom (swarm, coordinator).
"""

import asyncio
import os
import socket
import time
from concurrent.futures import ThreadPoolExecutor

from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.ipc.message_socket import MessageSocket
from engine.ipc.ticket_check import CheckTicket
from engine.net.tls import Identity
from engine.process.background_tasks import BackgroundTasks
from engine.settings import Settings
from engine.worker.fetch_side import FetchSide
from engine.worker.gate import TicketGate
from engine.worker.hashing import hash_pieces
from engine.worker.local_file import LocalFile
from engine.worker.serve_side import ServeSide

_LOOK_AROUND_S = 1.0
"""How often silent, stuck and idle links are looked for."""


class Worker:
    """Carries out orders, itself or by one of its two sides. It owns the files; the sides look them up."""

    handlers = Handlers()

    def __init__(self, connected: socket.socket, settings: Settings, check_ticket: CheckTicket) -> None:
        self._settings = settings
        self._files: dict[int, LocalFile] = {}
        self._tasks = BackgroundTasks()
        self._hasher = ThreadPoolExecutor(1, "hash")
        self._is_closed = asyncio.Event()
        self.is_dismissed = False
        self._is_watchful = False
        self._loop = asyncio.get_running_loop()
        self._coordinator: MessageSocket[orders.AnyOrder] = MessageSocket(
            connected, orders.AnyOrder, self._on_order, self._is_closed.set
        )
        self._fetch_side = FetchSide(self._coordinator, self._files, settings, self._watch)
        self._serve_side = ServeSide(self._coordinator, self._files, TicketGate(check_ticket), settings, self._watch)
        self._carry_out = {
            **self.handlers.bound_to(self),
            **FetchSide.handlers.bound_to(self._fetch_side),
            **ServeSide.handlers.bound_to(self._serve_side),
        }

    async def wait_closed(self) -> None:
        """Until the coordinator is gone."""
        await self._is_closed.wait()

    def _on_order(self, order: orders.AnyOrder, descriptors: list[int]) -> None:
        self._carry_out[type(order)](order, *descriptors)

    # ------------------------------------------------------------ who this client is

    @handlers.register
    def _configure(self, order: orders.Configure) -> None:
        identity = Identity(order.certificate_pem, order.key_pem, order.authority_pem)
        self._fetch_side.configure(identity)
        self._serve_side.configure(identity, order.ticket_keys)

    @handlers.register
    def _end_all_links(self, order: orders.EndAllLinks) -> None:
        self._fetch_side.end_all(order.reason)
        self._serve_side.end_all(order.reason)

    @handlers.register
    def _farewell(self, order: orders.Farewell) -> None:
        self.is_dismissed = True

    @handlers.register
    def _ping(self, order: orders.Ping) -> None:
        self._coordinator.send(reports.Pong(order.number))

    # ------------------------------------------------------------ files

    @handlers.register
    def _add_file(self, order: orders.AddFile, table: int, data: int) -> None:
        if order.file_id in self._files:
            self._files[order.file_id].settle(order.stamp)
            os.close(table)
            os.close(data)
            return
        try:
            file = LocalFile(order, self._settings.upload_slots, table, data)
        except OSError as error:
            os.close(data)
            self._coordinator.send(reports.FileUnreadable(order.file_id, error.errno or 0, str(error)))
            return
        finally:
            os.close(table)
        self._files[order.file_id] = file
        self._serve_side.serve(file)

    @handlers.register
    def _remove_file(self, order: orders.RemoveFile) -> None:
        self._close(order.file_id, "closed", order.reason)

    @handlers.register
    def _suspend_file(self, order: orders.SuspendFile) -> None:
        self._serve_side.suspend(order.group_id, order.root, order.code, order.reason)
        self._close(order.file_id, order.code, order.reason)

    def _close(self, file_id: int, code: str, reason: str) -> None:
        file = self._files.pop(file_id, None)
        if file is not None:
            self._serve_side.withdraw(file, code, reason)
            file.close()

    @handlers.register
    def _hash(self, order: orders.HashPieces, descriptor: int) -> None:
        self._tasks.start(self._hash_in_thread(order, descriptor))

    async def _hash_in_thread(self, order: orders.HashPieces, descriptor: int) -> None:
        try:
            leaves = await self._loop.run_in_executor(self._hasher, hash_pieces, order, descriptor)
        except OSError as error:
            self._coordinator.send(reports.HashFailed(order.job_id, order.first, str(error)))
        else:
            self._coordinator.send(reports.PiecesHashed(order.job_id, order.first, leaves))
        finally:
            os.close(descriptor)

    # ------------------------------------------------------------ every second, while there is a link

    def _watch(self) -> None:
        """A link was made. Without any there is no timer, so that an idle worker sleeps."""
        if not self._is_watchful:
            self._is_watchful = True
            self._loop.call_later(_LOOK_AROUND_S, self._look_around)

    def _look_around(self) -> None:
        self._fetch_side.end_silent(self._settings.silence_timeout_s)
        self._serve_side.end_idle(time.monotonic())
        self._is_watchful = self._serve_side.has_links or self._fetch_side.has_links
        if self._is_watchful:
            self._loop.call_later(_LOOK_AROUND_S, self._look_around)
