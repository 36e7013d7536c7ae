"""The serving half of a worker: the connections it accepts, and the links on which others fetch from this client.

It carries out the orders about those links and is the listener of the links. It bounds how many there are, and lets the
gate judge who may have which file.

Invariant: every accepted connection is counted by the connection limits until it is gone.
Not here: the files themselves (worker), whether a ticket is valid (gate), what is said on a link (net.serve_link).
"""

import asyncio
import functools
import os
import socket
import ssl
from collections.abc import Callable

from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.ipc.message_socket import MessageSocket
from engine.ipc.slot_board import slot_board
from engine.ipc.ticket_check import Keys
from engine.net.admission import ServedFile
from engine.net.connection_limits import AcceptedConnection, ConnectionLimits
from engine.net.listener import first_byte
from engine.net.piece_sender import PieceSender
from engine.net.plain_transport import PlainTransport
from engine.net.sealed_transport import SealedTransport, shake_hands
from engine.net.serve_link import ServeLink
from engine.net.tls import Identity, PeerIdentity, serving_context
from engine.process.background_tasks import BackgroundTasks
from engine.settings import Settings
from engine.swarm.upload_slots import UploadSlots
from engine.wire.codec import HELLO_TYPE
from engine.worker.gate import TicketGate
from engine.worker.local_file import LocalFile
from engine.worker.shared_slots import SharedSlots


class ServeSide:
    """`files`: those of the worker, by their number. `on_link` is called for every link that is made."""

    handlers = Handlers()

    def __init__(
        self,
        coordinator: MessageSocket[orders.AnyOrder],
        files: dict[int, LocalFile],
        gate: TicketGate,
        settings: Settings,
        on_link: Callable[[], None],
    ) -> None:
        self._coordinator = coordinator
        self._files = files
        self._gate = gate
        self._settings = settings
        self._on_link = on_link
        self._slots: UploadSlots[PieceSender] = UploadSlots(settings.upload_slots)
        self._identity: Identity | None = None
        self._connection_limits = ConnectionLimits(settings)
        self._links: dict[ServeLink, AcceptedConnection] = {}
        self._tasks = BackgroundTasks()

    # ------------------------------------------------------------ asked by the worker

    def configure(self, identity: Identity, ticket_keys: Keys) -> None:
        """From now on connections are answered as this member, and tickets checked with these keys."""
        self._identity = identity
        self._tls = serving_context(identity)
        self._gate.trust(ticket_keys)

    def serve(self, file: LocalFile) -> None:
        """From now on members of its group may have this file."""
        self._gate.serve(file)

    def suspend(self, group_id: str, root: bytes, code: str, reason: str) -> None:
        """Until a file with this content is served again, a fetcher that asks for it is refused with this code."""
        self._gate.suspend(group_id, root, code, reason)

    def withdraw(self, file: LocalFile, code: str, reason: str) -> None:
        """Not one more slice of this file is sent; its channels are closed."""
        self._gate.stop_serving(file)
        for link in self._links:
            link.withdraw(file, code, reason)

    def end_all(self, reason: str) -> None:
        """End every link and accept no connection from now on."""
        self._identity = None
        for link in list(self._links):
            link.end(reason)

    @property
    def has_links(self) -> bool:
        return bool(self._links)

    def end_idle(self, now_s: float) -> None:
        """End the links whose fetcher takes nothing, does not say who it is, or has asked for nothing for too long."""
        timeout_s = self._settings.silence_timeout_s
        for link in list(self._links):
            if link.is_stuck(timeout_s):
                link.end(f"took nothing for {timeout_s:g} s")
            elif link.is_idle(now_s, self._settings.handshake_timeout_s, self._settings.idle_serve_link_s):
                link.end("said nothing for too long")

    # ------------------------------------------------------------ orders

    @handlers.register
    def _share_slots(self, order: orders.ShareSlots, descriptor: int) -> None:
        self._slots = SharedSlots(self._settings.upload_slots, slot_board(descriptor, order.rows), order.row)
        os.close(descriptor)

    @handlers.register
    def _release_file(self, order: orders.ReleaseFile) -> None:
        self._gate.release(order.group_id, order.root)

    @handlers.register
    def _set_epoch(self, order: orders.SetEpoch) -> None:
        self._gate.raise_epoch(order.group_id, order.epoch)
        for link in self._links:
            peer = link.peer
            if peer is not None and peer.user_id == order.removed and peer.thumbprint != order.spared:
                link.put_out(order.group_id, order.epoch, "you are not a member any more")

    @handlers.register
    def _announce(self, order: orders.AnnouncePieces) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            for link in self._links:
                if link.peer is not None and link.peer.thumbprint not in order.owners:
                    link.announce(file, order.pieces)

    @handlers.register
    def _tell_again(self, order: orders.TellAgain) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            pieces = tuple(file.verified())
            for link in self._links:
                if pieces and link.peer is not None and link.peer.thumbprint == order.peer:
                    link.announce(file, pieces)

    @handlers.register
    def _spread(self, order: orders.SpreadPeers) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            for link in self._links:
                link.gossip(file, order.peers)

    # ------------------------------------------------------------ accepted connections

    @handlers.register
    def _accept(self, order: orders.AcceptConnection, descriptor: int) -> None:
        accepted = socket.socket(fileno=descriptor)
        accepted.setblocking(False)
        try:
            connection = AcceptedConnection(str(accepted.getpeername()[0]), accepted.close)
        except OSError:
            accepted.close()
            return
        if self._identity is not None and self._connection_limits.enter(connection):
            self._tasks.start(self._greet(accepted, connection))
        else:
            accepted.close()

    async def _greet(self, accepted: socket.socket, connection: AcceptedConnection) -> None:
        """The first byte tells which kind of link it is."""
        if accepted.fileno() == -1:
            return  # a connection that was accepted in the same moment took its place
        greeting = asyncio.current_task()
        assert greeting is not None
        connection.cut = greeting.cancel
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_s):
                is_open = await first_byte(accepted) == HELLO_TYPE
                if not is_open:
                    accepted = await shake_hands(accepted, self._tls, dialled=False)
            if self._identity is None:
                raise ConnectionAbortedError("logged out meanwhile")
        except (OSError, TimeoutError, asyncio.CancelledError):
            self._connection_limits.leave(connection)
            accepted.close()
            return
        link = ServeLink(self, self._gate, self._slots, self._settings, self._identity, is_open=is_open)
        self._links[link] = connection
        self._on_link()
        connection.cut = functools.partial(link.end, "somebody else needs the place")
        if isinstance(accepted, ssl.SSLSocket):
            SealedTransport(accepted, link)
        else:
            PlainTransport(accepted, link)

    # ------------------------------------------------------------ news of serve links

    def proven(self, link: ServeLink, peer: PeerIdentity) -> bool:
        connection = self._links.get(link)
        return connection is not None and self._connection_limits.prove(connection, peer.user_id)

    def link_lost(self, link: ServeLink) -> None:
        connection = self._links.pop(link, None)
        if connection is not None:
            self._connection_limits.leave(connection)

    def unreadable(self, file: ServedFile, error: OSError) -> None:
        reason = error.strerror or str(error)
        self._coordinator.send(reports.FileUnreadable(file.file_id, error.errno or 0, reason))

    def mismatch_received(self, peer: PeerIdentity, file: ServedFile, piece: int) -> None:
        self._coordinator.send(reports.MismatchReceived(file.file_id, piece, peer.user_id))
