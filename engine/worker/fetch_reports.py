"""What happens on one fetch link, as reports to the coordinator.

Not here: the orders that made it happen (fetch_side).
"""

import time
from collections.abc import Callable

from engine.errors import Cause
from engine.ipc import orders, reports
from engine.ipc.message_socket import MessageSocket
from engine.net.tls import PeerIdentity
from engine.wire.messages import Neighbour
from engine.worker.local_file import LocalFile, Sink
from engine.worker.scratch import Scratch


class FetchReports:
    """The listener of the link with this number. `on_down` is called once the link has ended."""

    def __init__(
        self,
        link_id: int,
        coordinator: MessageSocket[orders.AnyOrder],
        files: dict[int, LocalFile],
        scratch: Scratch,
        on_down: Callable[[int], None],
    ) -> None:
        self._link_id = link_id
        self._coordinator = coordinator
        self._files = files
        self._scratch = scratch
        self._on_down = on_down
        self._is_down = False

    # ------------------------------------------------------------ the link and its channels, which are numbered by file

    def link_up(self, peer: PeerIdentity) -> None:
        self._coordinator.send(reports.LinkUp(self._link_id, peer.user_id))

    def link_down(self, cause: Cause, reason: str) -> None:
        if not self._is_down:
            self._is_down = True
            self._scratch.forget_link(self._link_id)
            self._on_down(self._link_id)
            self._coordinator.send(reports.LinkDown(self._link_id, cause, reason))

    def channel_opened(self, channel: int, bitfield: bytes) -> None:
        self._coordinator.send(reports.ChannelOpened(self._link_id, channel, bitfield))

    def channel_refused(self, channel: int, code: str, reason: str) -> None:
        self._coordinator.send(reports.ChannelRefused(self._link_id, channel, code, reason))

    def peer_has(self, channel: int, pieces: tuple[int, ...], *, is_busy: bool) -> None:
        report = reports.PeerHas(self._link_id, channel, pieces)
        file = self._files.get(channel)
        if is_busy or file is None or all(file.have[piece] for piece in pieces):
            self._coordinator.send_soon(report)  # nothing is asked on this link because of it, before it has answered
        else:
            self._coordinator.send(report)

    def peers_named(self, channel: int, peers: tuple[Neighbour, ...]) -> None:
        self._coordinator.send(reports.PeersNamed(self._link_id, channel, peers))

    def request_rejected(self, request_id: int, channel: int, after_s: float) -> None:
        self._coordinator.send(reports.RequestRejected(self._link_id, channel, request_id, after_s))

    # ------------------------------------------------------------ pieces

    def sink_for(self, request_id: int, channel: int, piece: int, begin: int) -> Sink | None:
        file = self._files.get(channel)
        return self._scratch.sink_for(request_id, file, piece, begin) if file is not None else None

    def granted(self, request_id: int, channel: int, piece: int) -> None:
        self._coordinator.send(reports.PieceGranted(self._link_id, channel, request_id, piece, time.monotonic()))

    def received(self, request_id: int, channel: int, piece: int, is_good: bool) -> None:
        now_s = time.monotonic()
        if not is_good:
            self._coordinator.send(reports.PieceMismatched(self._link_id, channel, request_id, piece))
        elif self._scratch.is_for(request_id):
            self._coordinator.send(reports.ScratchReady(self._link_id, channel, request_id, now_s))
        else:
            self._coordinator.send(reports.PieceVerified(self._link_id, channel, request_id, piece, now_s))

    def received_part(self, request_id: int, channel: int, digest: bytes) -> None:
        self._coordinator.send(reports.PartReceived(self._link_id, channel, request_id, digest, time.monotonic()))

    def wasted(self, channel: int, count: int) -> None:
        self._coordinator.send(reports.Wasted(channel, count))

    def write_failed(self, channel: int, error: OSError) -> None:
        self._coordinator.send(reports.WriteFailed(channel, error.errno or 0))
