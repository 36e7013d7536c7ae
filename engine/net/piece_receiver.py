"""The receiving half of a fetch link: the bytes of pieces on their way from the socket to a sink.

They go into the link's own block, which stays in the core's cache, and from there to the sink (hash and write) once per
block: no byte is touched by Python, and no memory is taken per piece.

Invariant (I2): after `drop` returned, not one byte of what was dropped reaches a sink.
Not here: what a server may send (wire.link_state), what is said on the link (fetch_link), what a sink does (worker).
"""

from typing import Protocol

from engine.wire.codec import Decoder
from engine.wire.link_state import Slice

BATCH_BYTES_MAX = 64 << 10
_BATCH_S = 0.2
"""While a slice comes, the link is woken for so many bytes at a time, but for no more than arrive in so long at its
pace. So little is missed when a link falls silent in the middle of a slice, and a slow link is not taken for silent."""


class PieceSink(Protocol):
    """Where the bytes of one piece go, in order."""

    def write(self, block: memoryview) -> None:
        """Raises OSError."""

    def finish(self) -> bool:
        """Whether the piece is what it should be."""

    def digest(self) -> bytes:
        """The hash of what was written; of a part, which cannot be compared with anything yet."""


class PieceListener(Protocol):
    """Who gives the sinks, and is told what becomes of pieces."""

    def sink_for(self, request_id: int, channel: int, piece: int, begin: int) -> PieceSink | None:
        """None if the file is gone meanwhile: the bytes are read and dropped."""

    def granted(self, request_id: int, channel: int, piece: int) -> None:
        """The server chose this piece, and its first bytes are here."""

    def received(self, request_id: int, channel: int, piece: int, is_good: bool) -> None: ...
    def received_part(self, request_id: int, channel: int, digest: bytes) -> None: ...
    def wasted(self, channel: int, count: int) -> None:
        """So many bytes of a file came and were not kept."""

    def write_failed(self, channel: int, error: OSError) -> None: ...


class PieceReceiver:
    """Of one link. `decoder`: the link's, which holds the bytes that came along with a header."""

    def __init__(self, listener: PieceListener, decoder: Decoder, block_bytes: int) -> None:
        self._listener = listener
        self._decoder = decoder
        self._block = memoryview(bytearray(block_bytes))
        self._filled = 0
        self._slice: Slice | None = None
        self._slice_at_s = 0.0
        self._sink: PieceSink | None = None
        self._sink_channel = self._wanted = self._kept = 0
        self.request_id: int | None = None
        """The request whose bytes go to a sink now."""
        self.batch_bytes = 0
        """How many bytes of a slice are worth being woken for."""

    def buffer(self) -> memoryview:
        """Where the next bytes of the slice go."""
        return self._block[self._filled : self._filled + self._decoder.body_left]

    def begin_slice(self, arriving: Slice, now_s: float) -> None:
        """A slice was announced; takes those of its bytes that are here already."""
        self._slice, self._filled, self._wanted = arriving, 0, arriving.wanted
        self._slice_at_s = now_s
        if not arriving.wanted:
            self.drop()
        elif arriving.is_first:
            self._sink_channel, self._kept = arriving.channel, 0
            self._sink = self._listener.sink_for(arriving.request_id, arriving.channel, arriving.piece, arriving.begin)
            self.request_id = arriving.request_id
            self._listener.granted(arriving.request_id, arriving.channel, arriving.piece)
        while self._decoder.body_left:
            taken = self._decoder.take_body(self._block[self._filled :])
            if not taken:
                break
            self._grew(taken, now_s)

    def received(self, count: int, now_s: float) -> None:
        """So many bytes were put into `buffer`."""
        self._decoder.body_received(count)
        self._grew(count, now_s)

    def drop(self) -> None:
        """What came of the piece so far was in vain."""
        if self._sink is not None and self._kept:
            self._listener.wasted(self._sink_channel, self._kept)
        self._sink = self.request_id = None

    def drop_channel(self, channel: int) -> None:
        """Likewise, if it is of this channel."""
        if self._slice is not None and self._slice.channel == channel:
            self.drop()

    def _grew(self, count: int, now_s: float) -> None:
        self._filled += count
        if self._filled == len(self._block) or not self._decoder.body_left:
            self._flush_block()
        if not self._decoder.body_left:
            self._end_slice(now_s)

    def _flush_block(self) -> None:
        count, self._filled = self._filled, 0
        if self._sink is None or self._slice is None:
            if self._slice is not None:
                self._listener.wasted(self._slice.channel, count)
            return
        block = self._block[: min(count, self._wanted)]
        self._wanted -= len(block)
        self._kept += len(block)
        if count > len(block):
            self._listener.wasted(self._slice.channel, count - len(block))
        try:
            if block:
                self._sink.write(block)
        except OSError as error:
            self._sink = self.request_id = None
            self._listener.write_failed(self._slice.channel, error)

    def _end_slice(self, now_s: float) -> None:
        arriving, self._slice = self._slice, None
        if arriving is not None:
            took_s = max(now_s - self._slice_at_s, _BATCH_S / 1000)
            self.batch_bytes = min(BATCH_BYTES_MAX, int(arriving.length / took_s * _BATCH_S))
        if arriving is None or not arriving.is_last_wanted:
            return
        sink, self._sink, self.request_id = self._sink, None, None
        if sink is None:
            return
        if arriving.is_part:
            self._listener.received_part(arriving.request_id, arriving.channel, sink.digest())
        else:
            self._listener.received(arriving.request_id, arriving.channel, arriving.piece, sink.finish())
