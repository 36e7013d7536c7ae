"""The fetching half of a worker: its links to other peers, on which it asks for pieces.

It carries out the orders about fetch links. It decides nothing.

Not here: what is reported of a link (fetch_reports), the files (worker), which piece is asked of whom (swarm).
"""

import time
from collections.abc import Callable

from engine.ipc import orders, reports
from engine.ipc.handlers import Handlers
from engine.ipc.message_socket import MessageSocket
from engine.net.fetch_link import FetchLink
from engine.net.link_end import NoLink
from engine.net.proof import thumbprint_of
from engine.net.tls import Identity, fetching_context
from engine.process.background_tasks import BackgroundTasks
from engine.settings import Settings
from engine.worker.fetch_reports import FetchReports
from engine.worker.finish_piece import finish_piece
from engine.worker.local_file import LocalFile
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
        self._links: dict[int, FetchLink] = {}
        self._tasks = BackgroundTasks()

    def configure(self, identity: Identity) -> None:
        """From now on links are dialled as this member."""
        self._identity = identity
        self._fetching_tls = fetching_context(identity)
        self._own_thumbprint = thumbprint_of(identity)

    def end_all(self, reason: str) -> None:
        """Dial nobody from now on."""
        self._identity = None
        for link in list(self._links.values()):
            link.end(reason)

    @property
    def has_links(self) -> bool:
        return bool(self._links)

    def end_silent(self, timeout_s: float) -> None:
        """Hang up on those that owe bytes and sent none for so long."""
        for link in list(self._links.values()):
            if link.is_silent(timeout_s):
                link.end(f"sent nothing for {timeout_s:g} s", "no_answer")

    # ------------------------------------------------------------ orders

    @handlers.register
    def _dial(self, order: orders.Dial) -> None:
        if self._identity is not None:
            self._tasks.start(self._connect(order, self._identity))

    async def _connect(self, order: orders.Dial, identity: Identity) -> None:
        listener = FetchReports(order.link_id, self._coordinator, self._files, self._scratch, self._forget)
        link = FetchLink(listener, identity, order.thumbprint, self._settings.block_bytes, is_open=order.is_open)
        self._links[order.link_id] = link
        self._on_link()
        if order.thumbprint == self._own_thumbprint:
            listener.link_down("this_client", "that is this client itself")
            return
        try:
            await link.dial(order.host, order.port, self._fetching_tls, self._settings.dial_timeout_s)
        except NoLink as error:
            listener.link_down(error.cause, f"no link to {order.host}:{order.port}: {error}")

    def _forget(self, link_id: int) -> None:
        del self._links[link_id]

    @handlers.register
    def _open_channel(self, order: orders.OpenChannel) -> None:
        link, file = self._links.get(order.link_id), self._files.get(order.file_id)
        if link is not None and file is not None:
            link.open_channel(file.file_id, file.geometry, file.group_id, file.root, order.ticket)

    @handlers.register
    def _renew_ticket(self, order: orders.RenewTicket) -> None:
        if order.link_id in self._links:
            self._links[order.link_id].renew(order.group_id, order.ticket)

    @handlers.register
    def _close_channel(self, order: orders.CloseChannel) -> None:
        if order.link_id in self._links:
            self._links[order.link_id].close_channel(order.file_id)

    @handlers.register
    def _send_mismatch(self, order: orders.SendMismatch) -> None:
        if order.link_id in self._links:
            self._links[order.link_id].send_mismatch(order.file_id, order.piece)
            self._coordinator.send(reports.MismatchSent(order.link_id, order.file_id))

    @handlers.register
    def _end_link(self, order: orders.EndLink) -> None:
        if order.link_id in self._links:
            self._links[order.link_id].end(order.reason, order.cause)

    @handlers.register
    def _fetch(self, order: orders.Fetch) -> None:
        link = self._links.get(order.link_id)
        if link is not None:
            if order.is_scratch:
                self._scratch.expect(order.request_id, order.link_id)
            link.ask(order.request_id, order.file_id, order.candidates, order.begin, order.length)

    @handlers.register
    def _revoke(self, order: orders.RevokeRequest) -> None:
        if order.link_id in self._links:
            self._links[order.link_id].cancel(order.request_id)
        self._scratch.take(order.request_id)
        self._coordinator.send(reports.RequestRevoked(order.file_id, order.request_id))

    @handlers.register
    def _cut(self, order: orders.CutRequest) -> None:
        link = self._links.get(order.link_id)
        at = link.cut(order.request_id) if link is not None else 0
        self._coordinator.send(reports.RequestCut(order.file_id, order.request_id, at))

    @handlers.register
    def _finish_piece(self, order: orders.OfPiece) -> None:
        file = self._files.get(order.file_id)
        if file and (news := finish_piece(file, self._scratch, order, time.monotonic())):
            self._coordinator.send(news)
