"""The fetching half of a worker: its links to other peers, and what comes over them.

It carries out the orders about fetch links and is the listener of those links. It decides nothing.

Not here: the files themselves and the links of those who fetch from this client (worker), which piece of whom (swarm).
"""

import time
from collections.abc import Callable

from engine.errors import Cause
from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.ipc.message_socket import MessageSocket
from engine.net.fetch_link import FetchLink
from engine.net.link_end import NoLink
from engine.net.proof import thumbprint_of
from engine.net.tls import Identity, PeerIdentity, fetching_context
from engine.process.background_tasks import BackgroundTasks
from engine.settings import Settings
from engine.wire.messages import Neighbour
from engine.worker.finish_piece import finish_piece
from engine.worker.local_file import LocalFile, Sink
from engine.worker.scratch import Scratch


class FetchSide:
    """`files`: those of the worker, by their number. `on_link` is called for every link that is made."""

    handlers = Handlers()

    def __init__(
        self,
        coordinator: MessageSocket[orders.AnyOrder],
        files: dict[int, LocalFile],
        settings: Settings,
        on_link: Callable[[], None],
    ) -> None:
        self._coordinator = coordinator
        self._settings = settings
        self._on_link = on_link
        self._files = files
        self._scratch = Scratch()
        self._identity: Identity | None = None
        self._fetch_links: dict[int, FetchLink] = {}
        self._link_ids: dict[FetchLink, int] = {}
        self._tasks = BackgroundTasks()

    def configure(self, identity: Identity) -> None:
        """From now on links are dialled as this member."""
        self._identity = identity
        self._fetching_tls = fetching_context(identity)
        self._own_thumbprint = thumbprint_of(identity)

    def end_all(self, reason: str) -> None:
        """Dial nobody from now on."""
        self._identity = None
        for link in list(self._fetch_links.values()):
            link.end(reason)

    @property
    def has_links(self) -> bool:
        return bool(self._fetch_links)

    def end_silent(self, timeout_s: float) -> None:
        """Hang up on those that owe bytes and sent none for so long."""
        for link in list(self._fetch_links.values()):
            if link.is_silent(timeout_s):
                link.end(f"sent nothing for {timeout_s:g} s", "no_answer")

    # ------------------------------------------------------------ orders

    @handlers.register
    def _dial(self, order: orders.Dial) -> None:
        if self._identity is not None:
            self._tasks.start(self._connect(order, self._identity))

    async def _connect(self, order: orders.Dial, identity: Identity) -> None:
        link = FetchLink(self, identity, order.thumbprint, self._settings.block_bytes, is_open=order.is_open)
        self._fetch_links[order.link_id], self._link_ids[link] = link, order.link_id
        self._on_link()
        if order.thumbprint == self._own_thumbprint:
            self.link_down(link, "this_client", "that is this client itself")
            return
        try:
            await link.dial(order.host, order.port, self._fetching_tls, self._settings.dial_timeout_s)
        except NoLink as error:
            self.link_down(link, error.cause, f"no link to {order.host}:{order.port}: {error}")

    @handlers.register
    def _open_channel(self, order: orders.OpenChannel) -> None:
        link, file = self._fetch_links.get(order.link_id), self._files.get(order.file_id)
        if link is not None and file is not None:
            link.open_channel(file.file_id, file.geometry, file.group_id, file.root, order.ticket)

    @handlers.register
    def _renew_ticket(self, order: orders.RenewTicket) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].renew(order.group_id, order.ticket)

    @handlers.register
    def _close_channel(self, order: orders.CloseChannel) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].close_channel(order.file_id)

    @handlers.register
    def _send_mismatch(self, order: orders.SendMismatch) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].send_mismatch(order.file_id, order.piece)
            self._coordinator.send(reports.MismatchSent(order.link_id, order.file_id))

    @handlers.register
    def _end_link(self, order: orders.EndLink) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].end(order.reason, order.cause)

    @handlers.register
    def _fetch(self, order: orders.Fetch) -> None:
        link = self._fetch_links.get(order.link_id)
        if link is not None:
            if order.is_scratch:
                self._scratch.expect(order.request_id, order.link_id)
            link.ask(order.request_id, order.file_id, order.candidates, order.begin, order.length)

    @handlers.register
    def _revoke(self, order: orders.RevokeRequest) -> None:
        if order.link_id in self._fetch_links:
            self._fetch_links[order.link_id].cancel(order.request_id)
        self._scratch.take(order.request_id)
        self._coordinator.send(reports.RequestRevoked(order.file_id, order.request_id))

    @handlers.register
    def _cut(self, order: orders.CutRequest) -> None:
        link = self._fetch_links.get(order.link_id)
        at = link.cut(order.request_id) if link is not None else 0
        self._coordinator.send(reports.RequestCut(order.file_id, order.request_id, at))

    @handlers.register
    def _finish_piece(self, order: orders.OfPiece) -> None:
        file = self._files.get(order.file_id)
        if file and (news := finish_piece(file, self._scratch, order, time.monotonic())):
            self._coordinator.send(news)

    # ------------------------------------------------------------ news of fetch links

    def link_up(self, link: FetchLink, peer: PeerIdentity) -> None:
        self._coordinator.send(reports.LinkUp(self._link_ids[link], peer.user_id))

    def link_down(self, link: FetchLink, cause: Cause, reason: str) -> None:
        link_id = self._link_ids.pop(link, None)
        if link_id is not None:
            del self._fetch_links[link_id]
            self._scratch.forget_link(link_id)
            self._coordinator.send(reports.LinkDown(link_id, cause, reason))

    def channel_opened(self, link: FetchLink, channel: int, bitfield: bytes) -> None:
        self._coordinator.send(reports.ChannelOpened(self._link_ids[link], channel, bitfield))

    def channel_refused(self, link: FetchLink, channel: int, code: str, reason: str) -> None:
        self._coordinator.send(reports.ChannelRefused(self._link_ids[link], channel, code, reason))

    def peer_has(self, link: FetchLink, channel: int, pieces: tuple[int, ...]) -> None:
        news = reports.PeerHas(self._link_ids[link], channel, pieces)
        file = self._files.get(channel)
        if link.is_busy or file is None or all(file.have[piece] for piece in pieces):
            self._coordinator.send_soon(news)  # nothing is asked on this link because of it, before it has answered
        else:
            self._coordinator.send(news)

    def peers_named(self, link: FetchLink, channel: int, peers: tuple[Neighbour, ...]) -> None:
        self._coordinator.send(reports.PeersNamed(self._link_ids[link], channel, peers))

    def sink_for(self, link: FetchLink, request_id: int, channel: int, piece: int, begin: int) -> Sink | None:
        file = self._files.get(channel)
        return self._scratch.sink_for(request_id, file, piece, begin) if file is not None else None

    def granted(self, link: FetchLink, request_id: int, channel: int, piece: int) -> None:
        self._coordinator.send(
            reports.PieceGranted(self._link_ids[link], channel, request_id, piece, time.monotonic())
        )

    def received(self, link: FetchLink, request_id: int, channel: int, piece: int, is_good: bool) -> None:
        link_id = self._link_ids[link]
        if not is_good:
            self._coordinator.send(reports.PieceMismatched(link_id, channel, request_id, piece))
        elif self._scratch.is_for(request_id):
            self._coordinator.send(reports.ScratchReady(link_id, channel, request_id, time.monotonic()))
        else:
            self._coordinator.send(reports.PieceVerified(link_id, channel, request_id, piece, time.monotonic()))

    def received_part(self, link: FetchLink, request_id: int, channel: int, digest: bytes) -> None:
        now_s = time.monotonic()
        self._coordinator.send(reports.PartReceived(self._link_ids[link], channel, request_id, digest, now_s))

    def wasted(self, link: FetchLink, channel: int, count: int) -> None:
        self._coordinator.send(reports.Wasted(channel, count))

    def request_rejected(self, link: FetchLink, request_id: int, channel: int, after_s: float) -> None:
        self._coordinator.send(reports.RequestRejected(self._link_ids[link], channel, request_id, after_s))

    def write_failed(self, link: FetchLink, channel: int, error: OSError) -> None:
        self._coordinator.send(reports.WriteFailed(channel, error.errno or 0))
