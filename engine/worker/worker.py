"""One worker of the pool: moves bytes for the coordinator, and decides nothing.

It owns its own descriptors of the files, and the sockets of those who fetch from this client. Orders come in, news go
out; between the two the links do their work on one event loop. Hashing of whole files runs in one thread beside it, so
that serving goes on.

Not here: the links to other peers (fetch_side), the process around it (worker_process), which piece of whom and who may
(swarm, coordinator, gate).
"""

import asyncio
import functools
import os
import socket
import ssl
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor

from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.ipc.message_socket import MessageSocket
from engine.ipc.slot_board import slot_board
from engine.ipc.ticket_check import CheckTicket
from engine.net.admission import Grant, ServedFile
from engine.net.connection_limits import AcceptedConnection, ConnectionLimits
from engine.net.listener import first_byte
from engine.net.piece_sender import PieceSender
from engine.net.plain_transport import PlainTransport
from engine.net.sealed_transport import SealedTransport, shake_hands
from engine.net.serve_link import ServeLink
from engine.net.tls import Identity, PeerIdentity, serving_context
from engine.settings import Settings
from engine.swarm.upload_slots import UploadSlots
from engine.wire.codec import HELLO_TYPE
from engine.wire.messages import Open, Renew
from engine.worker.fetch_side import FetchSide
from engine.worker.gate import TicketGate
from engine.worker.hashing import hash_pieces
from engine.worker.local_file import LocalFile
from engine.worker.shared_slots import SharedSlots

_LOOK_AROUND_S = 1.0
"""How often silent and stuck links are looked for, and served bytes reported."""


class Worker:
    """Carries out orders, or has its fetch side do it; the gate of its serve links."""

    _handlers = Handlers()

    def __init__(self, connected: socket.socket, settings: Settings, check_ticket: CheckTicket) -> None:
        self._settings = settings
        self._gate = TicketGate(check_ticket)
        self._slots: UploadSlots[PieceSender] = UploadSlots(settings.upload_slots)
        self._identity: Identity | None = None
        self._files: dict[int, LocalFile] = {}
        self._fetch_side = FetchSide(self._files, settings, self._watch)
        self._connection_limits = ConnectionLimits(settings)
        self._serve_links: dict[ServeLink, AcceptedConnection] = {}
        self._served: dict[tuple[int, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hasher = ThreadPoolExecutor(1, "hash")
        self._is_closed = asyncio.Event()
        self.is_dismissed = False
        self._is_watchful = False
        self._loop = asyncio.get_running_loop()
        self._coordinator: MessageSocket[orders.AnyOrder] = MessageSocket(
            connected, orders.AnyOrder, self._on_order, self._is_closed.set
        )
        self._fetch_side.connect(self._coordinator)

    async def wait_closed(self) -> None:
        """Until the coordinator is gone."""
        await self._is_closed.wait()

    # ------------------------------------------------------------ orders

    def _on_order(self, order: orders.AnyOrder, descriptors: list[int]) -> None:
        if type(order) in FetchSide.handlers:
            FetchSide.handlers[type(order)](self._fetch_side, order)
        else:
            self._handlers[type(order)](self, order, *descriptors)

    @_handlers.register
    def _share_slots(self, order: orders.ShareSlots, descriptor: int) -> None:
        self._slots = SharedSlots(self._settings.upload_slots, slot_board(descriptor, order.rows), order.row)
        os.close(descriptor)

    @_handlers.register
    def _configure(self, order: orders.Configure) -> None:
        self._identity = Identity(order.certificate_pem, order.key_pem, order.authority_pem)
        self._fetch_side.configure(self._identity)
        self._serving_tls = serving_context(self._identity)
        self._gate.trust(order.ticket_keys)

    @_handlers.register
    def _add_file(self, order: orders.AddFile, state: int, data: int) -> None:
        if order.file_id in self._files:
            self._files[order.file_id].settle(order.stamp)
            os.close(state)
            os.close(data)
            return
        try:
            file = LocalFile(order, self._settings.upload_slots, state, data)
        except OSError as error:
            os.close(data)
            self._coordinator.send(reports.FileUnreadable(order.file_id, error.errno or 0, str(error)))
            return
        finally:
            os.close(state)
        self._files[order.file_id] = file
        self._gate.serve(file)

    @_handlers.register
    def _remove_file(self, order: orders.RemoveFile) -> None:
        self._withdraw(order.file_id, "closed", order.reason)

    @_handlers.register
    def _suspend_file(self, order: orders.SuspendFile) -> None:
        self._gate.suspend(order.group_id, order.root, order.code, order.reason)
        self._withdraw(order.file_id, order.code, order.reason)

    @_handlers.register
    def _release_file(self, order: orders.ReleaseFile) -> None:
        self._gate.release(order.group_id, order.root)

    def _withdraw(self, file_id: int, code: str, reason: str) -> None:
        file = self._files.pop(file_id, None)
        if file is None:
            return
        self._gate.stop_serving(file)
        for link in self._serve_links:
            link.withdraw(file, code, reason)
        file.close()

    @_handlers.register
    def _set_epoch(self, order: orders.SetEpoch) -> None:
        self._gate.raise_epoch(order.group_id, order.epoch)
        for link in self._serve_links:
            peer = link.peer
            if peer is not None and peer.user_id == order.removed and peer.thumbprint != order.spared:
                link.put_out(order.group_id, order.epoch, "you are not a member any more")

    @_handlers.register
    def _announce(self, order: orders.AnnouncePieces) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            for link in self._serve_links:
                if link.peer is not None and link.peer.thumbprint not in order.owners:
                    link.announce(file, order.pieces)

    @_handlers.register
    def _tell_again(self, order: orders.TellAgain) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            pieces = tuple(file.verified())
            for link in self._serve_links:
                if pieces and link.peer is not None and link.peer.thumbprint == order.peer:
                    link.announce(file, pieces)

    @_handlers.register
    def _spread(self, order: orders.SpreadPeers) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            for link in self._serve_links:
                link.gossip(file, order.peers)

    @_handlers.register
    def _accept(self, order: orders.AcceptConnection, descriptor: int) -> None:
        accepted = socket.socket(fileno=descriptor)
        accepted.setblocking(False)
        try:
            connection = AcceptedConnection(str(accepted.getpeername()[0]), accepted.close)
        except OSError:
            accepted.close()
            return
        if self._identity is not None and self._connection_limits.enter(connection):
            self._spawn(self._greet(accepted, connection))
        else:
            accepted.close()

    async def _greet(self, accepted: socket.socket, connection: AcceptedConnection) -> None:
        """Which kind of link it is, the first byte tells."""
        if accepted.fileno() == -1:
            return  # cut already, by somebody who came in the same moment
        greeting = asyncio.current_task()
        assert greeting is not None
        connection.cut = greeting.cancel
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_s):
                is_open = await first_byte(accepted) == HELLO_TYPE
                if not is_open:
                    accepted = await shake_hands(accepted, self._serving_tls, dialled=False)
            if self._identity is None:
                raise ConnectionAbortedError("logged out meanwhile")
        except (OSError, TimeoutError, asyncio.CancelledError):
            self._connection_limits.leave(connection)
            accepted.close()
            return
        link = ServeLink(self, self._slots, self._settings, self._identity, is_open=is_open)
        self._serve_links[link] = connection
        self._watch()
        connection.cut = functools.partial(link.end, "somebody else needs the place")
        if isinstance(accepted, ssl.SSLSocket):
            SealedTransport(accepted, link)
        else:
            PlainTransport(accepted, link)

    @_handlers.register
    def _end_all_links(self, order: orders.EndAllLinks) -> None:
        self._identity = None
        self._fetch_side.end_all(order.reason)
        for serving in list(self._serve_links):
            serving.end(order.reason)

    @_handlers.register
    def _farewell(self, order: orders.Farewell) -> None:
        self.is_dismissed = True

    @_handlers.register
    def _ping(self, order: orders.Ping) -> None:
        self._coordinator.send(reports.Pong(order.number))

    @_handlers.register
    def _hash(self, order: orders.HashPieces, descriptor: int) -> None:
        self._spawn(self._hash_in_thread(order, descriptor))

    async def _hash_in_thread(self, order: orders.HashPieces, descriptor: int) -> None:
        try:
            leaves = await self._loop.run_in_executor(self._hasher, hash_pieces, order, descriptor)
        except OSError as error:
            self._coordinator.send(reports.HashFailed(order.job_id, order.first, str(error)))
        else:
            self._coordinator.send(reports.PiecesHashed(order.job_id, order.first, leaves))
        finally:
            os.close(descriptor)

    # ------------------------------------------------------------ the gate of serve links

    def admit(self, peer: PeerIdentity, message: Open, *, is_open: bool) -> tuple[ServedFile, Grant]:
        return self._gate.admit(peer, message, is_open=is_open)

    def renewed(self, peer: PeerIdentity, message: Renew, *, is_open: bool) -> Grant:
        return self._gate.judge(peer, message.group_id, message.ticket, is_open=is_open)

    def sent(self, peer: PeerIdentity, file: ServedFile, count: int) -> None:
        assert isinstance(file, LocalFile)
        key = (file.file_id, peer.user_id)
        self._served[key] = self._served.get(key, 0) + count

    def unreadable(self, file: ServedFile, error: OSError) -> None:
        assert isinstance(file, LocalFile)
        self._coordinator.send(reports.FileUnreadable(file.file_id, error.errno or 0, error.strerror or str(error)))

    def mismatch_received(self, peer: PeerIdentity, file: ServedFile, piece: int) -> None:
        assert isinstance(file, LocalFile)
        self._coordinator.send(reports.MismatchReceived(file.file_id, piece, peer.user_id))

    def proven(self, link: ServeLink, peer: PeerIdentity) -> bool:
        connection = self._serve_links.get(link)
        return connection is not None and self._connection_limits.prove(connection, peer.user_id)

    def link_lost(self, link: ServeLink) -> None:
        connection = self._serve_links.pop(link, None)
        if connection is not None:
            self._connection_limits.leave(connection)

    # ------------------------------------------------------------ housekeeping

    def _look_around(self) -> None:
        timeout_s, now_s = self._settings.silence_timeout_s, time.monotonic()
        self._fetch_side.end_silent(timeout_s)
        for serving in list(self._serve_links):
            if serving.is_stuck(timeout_s):
                serving.end(f"took nothing for {timeout_s:g} s")
            elif serving.is_idle(now_s, self._settings.handshake_timeout_s, self._settings.idle_serve_link_s):
                serving.end("said nothing for too long")
        for (file_id, user_id), count in self._served.items():
            self._coordinator.send(reports.Served(file_id, user_id, count))
        self._served.clear()
        self._is_watchful = bool(self._serve_links) or self._fetch_side.has_links
        if self._is_watchful:
            self._loop.call_later(_LOOK_AROUND_S, self._look_around)

    def _watch(self) -> None:
        """There is a link to look after, until there is none: a worker without links has no timer."""
        if not self._is_watchful:
            self._is_watchful = True
            self._loop.call_later(_LOOK_AROUND_S, self._look_around)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
