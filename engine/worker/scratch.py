"""Duplicates: pieces that are fetched again because the link that holds them is silent.

A duplicate is received into memory, hashed, and written only when the silent link has let go of the piece. So no byte
is written by two links (I2), and a silent link delays a piece by its deadline, not longer.

Invariant: a duplicate belongs to a request of a link that is up, and takes the memory of one piece at most.
"""

from engine.ipc import orders, reports
from engine.swarm.leases import LinkId, RequestId
from engine.worker.local_file import LocalFile, Sink


class ScratchSink(Sink):
    """A sink that holds the bytes in memory until `keep`."""

    def __init__(self, file: LocalFile, piece: int, begin: int) -> None:
        super().__init__(file, piece, begin)
        self._memory = bytearray()

    def put(self, block: memoryview) -> None:
        self._memory += block

    def keep(self) -> None:
        """Write the bytes to their place. Raises OSError."""
        self._file.write(self._offset, memoryview(self._memory))


class Scratch:
    """The duplicates of one worker, by request."""

    def __init__(self) -> None:
        self._link_of: dict[RequestId, LinkId] = {}
        self._sinks: dict[RequestId, ScratchSink] = {}

    def expect(self, request_id: RequestId, link: LinkId) -> None:
        """The answer to this request will be a duplicate."""
        self._link_of[request_id] = link

    def is_for(self, request_id: RequestId) -> bool:
        return request_id in self._link_of

    def sink_for(self, request_id: RequestId, file: LocalFile, piece: int, begin: int) -> Sink:
        """Into memory for a duplicate, else into the file."""
        if request_id not in self._link_of:
            return file.sink_for(piece, begin)
        sink = self._sinks[request_id] = ScratchSink(file, piece, begin)
        return sink

    def keep(self, order: orders.KeepScratch, now_s: float) -> reports.Report | None:
        """Write a duplicate to its place; None if its link has ended, since that was reported."""
        sink = self.take(order.request_id)
        if sink is None:
            return None
        try:
            sink.keep()
        except OSError as error:
            return reports.WriteFailed(order.file_id, error.errno or 0)
        return reports.PieceVerified(order.link_id, order.file_id, order.request_id, sink.piece, now_s)

    def take(self, request_id: RequestId) -> ScratchSink | None:
        """Forget this duplicate; returns what came of it so far, if anything."""
        self._link_of.pop(request_id, None)
        return self._sinks.pop(request_id, None)

    def forget_link(self, link: LinkId) -> None:
        """The link ended, and its requests with it."""
        for request_id in [each for each, holder in self._link_of.items() if holder == link]:
            self.take(request_id)
