"""Nodes with an uplink and a downlink in virtual time, and bytes that cross from one to the other in chunks.

An uplink sends one chunk after the other, in turn for every transfer that may go on; a downlink receives in the order
of arrival. A transfer has a few chunks on the way at most, as TCP would: a busy receiver therefore delays no other
transfer of the sender, and both ends share fairly without a computation over the whole network. A chunk costs two
events.

Not here: who sends what to whom (swarm).
"""

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import Any

Event = tuple[float, int, Callable[..., None], tuple[Any, ...]]


class Clock:
    """What happens when; events of one instant in the order they were arranged."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self._events: list[Event] = []
        self._order = itertools.count()

    def after(self, delay_s: float, event: Callable[..., None], *arguments: Any) -> None:
        heapq.heappush(self._events, (self.now_s + delay_s, next(self._order), event, arguments))

    def run(self, is_over: Callable[[], bool]) -> bool:
        """Until `is_over`; False if nothing is left to happen before that."""
        events, pop = self._events, heapq.heappop
        while not is_over():
            if not events:
                return False
            self.now_s, _, event, arguments = pop(events)
            event(*arguments)
        return True


class Port:
    """One node's connection to the network. Rates in bytes/s, `latency_s` one way to the middle of the network."""

    def __init__(self, clock: Clock, up: float, down: float, latency_s: float) -> None:
        self._clock = clock
        self.up, self.down, self.latency_s = up, down, latency_s
        self.is_stalled = False
        self.sent_bytes = self.received_bytes = 0
        self._ready: deque[Transfer] = deque()
        self._is_sending = False
        self._down_free_s = 0.0

    def stall(self) -> None:
        """From now on it sends nothing and says nothing."""
        self.is_stalled = True

    def resume(self) -> None:
        self.is_stalled = False
        self.send_next()

    def enqueue(self, transfer: "Transfer") -> None:
        self._ready.append(transfer)
        self.send_next()

    def send_next(self) -> None:
        if self._is_sending or self.is_stalled:
            return
        ready = self._ready
        while ready:
            transfer = ready.popleft()
            transfer.is_ready = False
            size = transfer.next_chunk()
            if size:
                self._is_sending = True
                self.sent_bytes += size
                self._clock.after(size / self.up, self._sent, transfer, size)
                return

    def _sent(self, transfer: "Transfer", size: int) -> None:
        self._is_sending = False
        receiver, now_s = transfer.receiver, self._clock.now_s
        arrives_s = now_s + self.latency_s + receiver.latency_s
        free_s = receiver._down_free_s
        done_s = (arrives_s if arrives_s > free_s else free_s) + size / receiver.down
        receiver._down_free_s = done_s
        self._clock.after(done_s - now_s, self._arrived, transfer, size)
        transfer.chunk_sent()
        self.send_next()

    def _arrived(self, transfer: "Transfer", size: int) -> None:
        transfer.receiver.received_bytes += size
        transfer.chunk_arrived(size)


class Transfer:
    """A run of bytes from one port to another. `on_sent` when the last chunk left, `on_chunk` at each arrival.

    `left`: bytes that were not sent yet.
    """

    __slots__ = (
        "_chunk_bytes", "_credit", "_on_chunk", "_on_sent", "is_ready", "left", "receiver", "sender",
    )  # fmt: skip

    def __init__(
        self, sender: Port, receiver: Port, size: int, chunk_bytes: int,
        on_chunk: Callable[[int], None], on_sent: Callable[[], None],
    ) -> None:  # fmt: skip
        self.sender, self.receiver = sender, receiver
        self.left, self._chunk_bytes = size, chunk_bytes
        round_trip_s = 2 * (sender.latency_s + receiver.latency_s)
        self._credit = 2 + int(min(sender.up, receiver.down) * round_trip_s / chunk_bytes)
        self._on_chunk, self._on_sent = on_chunk, on_sent
        self.is_ready = True
        sender.enqueue(self)

    def next_chunk(self) -> int:
        """Bytes to send now; 0 if it was stopped."""
        size = min(self._chunk_bytes, self.left)
        self.left -= size
        self._credit -= 1
        return size

    def stop(self) -> int:
        """Send no more; returns the bytes that were not sent."""
        left, self.left = self.left, 0
        return left

    def shorten(self, by: int) -> None:
        """Leave out the last bytes, as far as they were not sent yet."""
        was_left, self.left = self.left, max(0, self.left - by)
        if was_left and not self.left:
            self._on_sent()

    def chunk_sent(self) -> None:
        if not self.left:
            self._on_sent()
        elif self._credit > 0 and not self.is_ready:
            self.is_ready = True
            self.sender.enqueue(self)

    def chunk_arrived(self, size: int) -> None:
        self._credit += 1
        if self.left and not self.is_ready and self._credit == 1:
            self.is_ready = True
            self.sender.enqueue(self)
        self._on_chunk(size)
