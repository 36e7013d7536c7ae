"""One worker of the pool: moves bytes for the coordinator, and decides nothing.

It owns the sockets of its links and its own descriptors of the files. Orders come in, news go out; between the two the
links do their work on one event loop. Hashing of whole files runs in one thread beside it, so that serving goes on.

Not here: the process around it (worker_process); which piece, which peer, who may (swarm, coordinator, gate).
"""

import asyncio
import functools
import os
import socket
import ssl
import time
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor

from engine.net.admission import Grant, ServedFile
from engine.net.callers import Caller, Callers
from engine.net.fetch_link import FetchLink
from engine.net.listener import first_byte
from engine.net.plain_transport import PlainTransport
from engine.net.proof import thumbprint_of
from engine.net.sealed_transport import SealedTransport, shake_hands
from engine.net.serve_link import ServeLink
from engine.net.tls import Identity, PeerIdentity, fetching_context, serving_context
from engine.settings import Settings
from engine.swarm.upload_slots import UploadSlots
from engine.transfer import endgame_events, events
from engine.transfer.channel import Channel
from engine.transfer.finish_piece import finish_piece
from engine.transfer.gate import CheckTicket, TicketGate
from engine.transfer.handlers import Handlers
from engine.transfer.hashing import hash_pieces
from engine.transfer.open_file import OpenFile, Sink
from engine.transfer.scratch import Scratch
from engine.transfer.shared_slots import SharedSlots, slot_board
from engine.wire.codec import HELLO_TYPE
from engine.wire.messages import Neighbour, Open, Renew

_LOOK_AROUND_S = 1.0
"""How often silent and stuck links are looked for, and served bytes reported."""


class Worker:
    """Carries out orders; the listener of its fetch links and the gate of its serve links."""

    _handlers = Handlers()

    def __init__(self, channel: socket.socket, settings: Settings, check_ticket: CheckTicket) -> None:
        self._settings = settings
        self._gate = TicketGate(check_ticket)
        self._slots: UploadSlots[ServeLink] = UploadSlots(settings.upload_slots)
        self._identity: Identity | None = None
        self._files: dict[int, OpenFile] = {}
        self._scratch = Scratch()
        self._fetch_links: dict[int, FetchLink] = {}
        self._link_ids: dict[FetchLink, int] = {}
        self._callers = Callers(settings)
        self._serve_links: dict[ServeLink, Caller] = {}
        self._served: dict[tuple[int, str], int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._hasher = ThreadPoolExecutor(1, "hash")
        self._is_closed = asyncio.Event()
        self.is_dismissed = False
        self._loop = asyncio.get_running_loop()
        self._channel: Channel[events.AnyOrder] = Channel(
            channel, events.AnyOrder, self._on_order, self._is_closed.set
        )
        self._look_around()

    async def wait_closed(self) -> None:
        """Until the coordinator is gone."""
        await self._is_closed.wait()

    # ------------------------------------------------------------ orders

    def _on_order(self, order: events.AnyOrder, descriptors: list[int]) -> None:
        self._handlers[type(order)](self, order, *descriptors)

    @_handlers.register
    def _share_slots(self, order: events.ShareSlots, descriptor: int) -> None:
        self._slots = SharedSlots(self._settings.upload_slots, slot_board(descriptor, order.rows), order.row)
        os.close(descriptor)

    @_handlers.register
    def _configure(self, order: events.Configure) -> None:
        self._identity = Identity(order.certificate_pem, order.key_pem, order.authority_pem)
        self._fetching_tls = fetching_context(self._identity)
        self._serving_tls = serving_context(self._identity)
        self._gate.trust(order.ticket_keys)
        self._own_thumbprint = thumbprint_of(self._identity)

    @_handlers.register
    def _add_file(self, order: events.AddFile, state: int, data: int) -> None:
        if order.file_id in self._files:
            self._files[order.file_id].settle(order.inode, order.mtime_ns)
            os.close(state)
            os.close(data)
            return
        try:
            file = OpenFile(order, self._settings.upload_slots, state, data)
        except OSError as error:
            os.close(data)
            self._channel.send(events.FileUnreadable(order.file_id, str(error)))
            return
        finally:
            os.close(state)
        self._files[order.file_id] = file
        self._gate.serve(file)

    @_handlers.register
    def _remove_file(self, order: events.RemoveFile) -> None:
        file = self._files.pop(order.file_id, None)
        if file is None:
            return
        self._gate.stop_serving(file)
        for link in self._serve_links:
            link.withdraw(file, order.reason)
        file.close()

    @_handlers.register
    def _set_epoch(self, order: events.SetEpoch) -> None:
        self._gate.raise_epoch(order.group_id, order.epoch)
        for link in self._serve_links:
            peer = link.peer
            if peer is not None and peer.user_id == order.removed and peer.thumbprint != order.spared:
                link.put_out(order.group_id, order.epoch, "you are not a member any more")

    @_handlers.register
    def _announce(self, order: events.AnnouncePieces) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            for link in self._serve_links:
                if link.peer is not None and link.peer.thumbprint not in order.owners:
                    link.announce(file, order.pieces)

    @_handlers.register
    def _tell_again(self, order: events.TellAgain) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            pieces = tuple(file.verified())
            for link in self._serve_links:
                if pieces and link.peer is not None and link.peer.thumbprint == order.peer:
                    link.announce(file, pieces)

    @_handlers.register
    def _spread(self, order: events.SpreadPeers) -> None:
        file = self._files.get(order.file_id)
        if file is not None:
            for link in self._serve_links:
                link.gossip(file, order.peers)

    @_handlers.register
    def _accept(self, order: events.AcceptLink, descriptor: int) -> None:
        accepted = socket.socket(fileno=descriptor)
        accepted.setblocking(False)
        try:
            caller = Caller(str(accepted.getpeername()[0]), accepted.close)
        except OSError:
            accepted.close()
            return
        if self._identity is not None and self._callers.enter(caller):
            self._spawn(self._greet(accepted, caller))
        else:
            accepted.close()

    async def _greet(self, accepted: socket.socket, caller: Caller) -> None:
        """Which kind of link it is, the first byte tells."""
        if accepted.fileno() == -1:
            return  # cut already, by somebody who came in the same moment
        greeting = asyncio.current_task()
        assert greeting is not None
        caller.cut = greeting.cancel
        try:
            async with asyncio.timeout(self._settings.handshake_timeout_s):
                is_open = await first_byte(accepted) == HELLO_TYPE
                if not is_open:
                    accepted = await shake_hands(accepted, self._serving_tls, dialled=False)
            if self._identity is None:
                raise ConnectionAbortedError("logged out meanwhile")
        except (OSError, TimeoutError, asyncio.CancelledError):
            self._callers.leave(caller)
            accepted.close()
            return
        link = ServeLink(self, self._slots, self._settings, self._identity, is_open=is_open)
        self._serve_links[link] = caller
        caller.cut = functools.partial(link.end, "somebody else needs the place")
        if isinstance(accepted, ssl.SSLSocket):
            SealedTransport(accepted, link)
        else:
            PlainTransport(accepted, link)

    @_handlers.register
    def _dial(self, order: events.Dial) -> None:
        if self._identity is not None:
            self._spawn(self._connect(order, self._identity))

    async def _connect(self, order: events.Dial, identity: Identity) -> None:
        link = FetchLink(self, identity, order.thumbprint, self._settings.block_bytes, is_open=order.is_open)
        self._fetch_links[order.link_id], self._link_ids[link] = link, order.link_id
        if order.thumbprint == self._own_thumbprint:
            self.link_down(link, "that is this client itself", is_fault=False)
            return
        try:
            await link.dial(order.host, order.port, self._fetching_tls, self._settings.dial_timeout_s)
        except (OSError, TimeoutError) as error:
            self.link_down(link, f"no link to {order.host}:{order.port}: {error or 'no answer'}", is_fault=False)

    @_handlers.register
    def _open_file(self, order: events.OpenFile) -> None:
        link, file = self._fetch_links.get(order.link_id), self._files.get(order.file_id)
        if link is not None and file is not None:
            link.open(file.file_id, file.geometry, file.group_id, file.root, order.ticket)

    @_handlers.register
    def _renew_ticket(self, order: events.RenewTicket) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].renew(order.group_id, order.ticket)

    @_handlers.register
    def _close_file(self, order: events.CloseFile) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].close_channel(order.file_id)

    @_handlers.register
    def _end_link(self, order: events.EndLink) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].end(order.reason)

    @_handlers.register
    def _end_all_links(self, order: events.EndAllLinks) -> None:
        self._identity = None
        for fetching in list(self._fetch_links.values()):
            fetching.end(order.reason)
        for serving in list(self._serve_links):
            serving.end(order.reason)

    @_handlers.register
    def _fetch(self, order: events.Fetch) -> None:
        link = self._fetch_links.get(order.link_id)
        if link is not None:
            if order.is_scratch:
                self._scratch.expect(order.request_id, order.link_id)
            link.ask(order.request_id, order.file_id, order.candidates, order.begin, order.length)

    @_handlers.register
    def _revoke(self, order: events.RevokeRequest) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].cancel(order.request_id)
        self._scratch.take(order.request_id)
        self._channel.send(events.RequestRevoked(order.file_id, order.request_id))

    @_handlers.register
    def _farewell(self, order: events.Farewell) -> None:
        self.is_dismissed = True

    @_handlers.register
    def _ping(self, order: events.Ping) -> None:
        self._channel.send(events.Pong(order.number))

    @_handlers.register
    def _cut(self, order: endgame_events.CutRequest) -> None:
        link = self._fetch_links.get(order.link_id)
        at = link.cut(order.request_id) if link is not None else 0
        self._channel.send(endgame_events.RequestCut(order.file_id, order.request_id, at))

    @_handlers.register
    def _finish_piece(self, order: endgame_events.OfPiece) -> None:
        file = self._files.get(order.file_id)
        if file and (news := finish_piece(file, self._scratch, order, time.monotonic())):
            self._channel.send(news)

    @_handlers.register
    def _hash(self, order: events.HashPieces, descriptor: int) -> None:
        self._spawn(self._hash_in_thread(order, descriptor))

    async def _hash_in_thread(self, order: events.HashPieces, descriptor: int) -> None:
        try:
            leaves = await self._loop.run_in_executor(self._hasher, hash_pieces, order, descriptor)
        except OSError as error:
            self._channel.send(events.HashFailed(order.job_id, order.first, str(error)))
        else:
            self._channel.send(events.PiecesHashed(order.job_id, order.first, leaves))
        finally:
            os.close(descriptor)

    # ------------------------------------------------------------ news of fetch links

    def link_up(self, link: FetchLink, peer: PeerIdentity) -> None:
        self._channel.send(events.LinkUp(self._link_ids[link], peer.user_id))

    def link_down(self, link: FetchLink, reason: str, is_fault: bool) -> None:
        link_id = self._link_ids.pop(link, None)
        if link_id is not None:
            del self._fetch_links[link_id]
            self._scratch.forget_link(link_id)
            self._channel.send(events.LinkDown(link_id, reason, is_fault))

    def opened(self, link: FetchLink, channel: int, bitfield: bytes) -> None:
        self._channel.send(events.FileOpened(self._link_ids[link], channel, bitfield))

    def refused(self, link: FetchLink, channel: int, code: str, reason: str) -> None:
        self._channel.send(events.FileRefused(self._link_ids[link], channel, code, reason))

    def has(self, link: FetchLink, channel: int, pieces: tuple[int, ...]) -> None:
        news = events.PeerHas(self._link_ids[link], channel, pieces)
        file = self._files.get(channel)
        if link.is_busy or file is None or all(file.have[piece] for piece in pieces):
            self._channel.send_soon(news)  # nothing is asked on this link because of it, before it has answered
        else:
            self._channel.send(news)

    def named(self, link: FetchLink, channel: int, peers: tuple[Neighbour, ...]) -> None:
        self._channel.send(events.PeersNamed(self._link_ids[link], channel, peers))

    def sink_for(self, link: FetchLink, request_id: int, channel: int, piece: int, begin: int) -> Sink | None:
        file = self._files.get(channel)
        return self._scratch.sink_for(request_id, file, piece, begin) if file is not None else None

    def granted(self, link: FetchLink, request_id: int, channel: int, piece: int) -> None:
        self._channel.send(
            events.PieceGranted(self._link_ids[link], channel, request_id, piece, time.monotonic())
        )

    def received(self, link: FetchLink, request_id: int, channel: int, piece: int, is_good: bool) -> None:
        link_id = self._link_ids[link]
        if not is_good:
            self._channel.send(events.PieceRejected(link_id, channel, request_id, piece))
        elif self._scratch.is_for(request_id):
            self._channel.send(endgame_events.ScratchReady(link_id, channel, request_id, time.monotonic()))
        else:
            self._channel.send(events.PieceVerified(link_id, channel, request_id, piece, time.monotonic()))

    def received_part(self, link: FetchLink, request_id: int, channel: int, digest: bytes) -> None:
        now_s = time.monotonic()
        self._channel.send(endgame_events.PartReceived(self._link_ids[link], channel, request_id, digest, now_s))

    def wasted(self, link: FetchLink, channel: int, count: int) -> None:
        self._channel.send(endgame_events.Wasted(channel, count))

    def rejected(self, link: FetchLink, request_id: int, after_s: float) -> None:
        self._channel.send(events.RequestRefused(self._link_ids[link], request_id, after_s))

    def write_failed(self, link: FetchLink, channel: int, error: OSError) -> None:
        self._channel.send(events.WriteFailed(channel, error.errno or 0))

    # ------------------------------------------------------------ the gate of serve links

    def admit(self, peer: PeerIdentity, message: Open, *, is_open: bool) -> tuple[ServedFile, Grant]:
        return self._gate.admit(peer, message, is_open=is_open)

    def renewed(self, peer: PeerIdentity, message: Renew, *, is_open: bool) -> Grant:
        return self._gate.judge(peer, message.group_id, message.ticket, is_open=is_open)

    def sent(self, peer: PeerIdentity, file: ServedFile, count: int) -> None:
        assert isinstance(file, OpenFile)
        key = (file.file_id, peer.user_id)
        self._served[key] = self._served.get(key, 0) + count

    def unreadable(self, file: ServedFile, error: OSError) -> None:
        assert isinstance(file, OpenFile)
        self._channel.send(events.FileUnreadable(file.file_id, error.strerror or str(error)))

    def proven(self, link: ServeLink, peer: PeerIdentity) -> bool:
        caller = self._serve_links.get(link)
        return caller is not None and self._callers.prove(caller, peer.user_id)

    def link_lost(self, link: ServeLink) -> None:
        caller = self._serve_links.pop(link, None)
        if caller is not None:
            self._callers.leave(caller)

    # ------------------------------------------------------------ housekeeping

    def _look_around(self) -> None:
        timeout_s, now_s = self._settings.silence_timeout_s, time.monotonic()
        for fetching in list(self._fetch_links.values()):
            if fetching.is_silent(timeout_s):
                fetching.end(f"sent nothing for {timeout_s:g} s")
        for serving in list(self._serve_links):
            if serving.is_stuck(timeout_s):
                serving.end(f"took nothing for {timeout_s:g} s")
            elif serving.is_idle(now_s, self._settings.handshake_timeout_s, self._settings.idle_serve_link_s):
                serving.end("said nothing for too long")
        for (file_id, user_id), count in self._served.items():
            self._channel.send(events.Served(file_id, user_id, count))
        self._served.clear()
        self._loop.call_later(_LOOK_AROUND_S, self._look_around)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
