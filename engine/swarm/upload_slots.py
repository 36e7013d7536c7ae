"""Which links may send now: a fixed number of pieces at a time for the whole server, shared fairly by account.

A slot is held for one piece; how many slots are best is measured in docs/performance.md. A free slot goes to the
waiting account that holds the fewest, among equals to the one that has waited longest since it was last served. No
account holds more than its share of the slots while others hold or wait for some: what one connection cannot use does
not go to ten of another account. An account alone may use all slots, and none starves.

The workers of a server are processes, so their counts stand on a board in shared memory: a row for each worker, a
column for each account. A worker writes its own row only, and reads all; there is no lock. Two workers that look at
the same instant may for one piece give out one slot too many, which does no harm. A slot that becomes free here while
another worker has an account with the better claim is left to that one: workers look (`due`) every few milliseconds
while a link waits.

Invariant: a link holds at most one slot and stands in line at most once.
Not here: which piece (sender_choice), the memory itself (worker.shared_slots).
"""

import math
import zlib
from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

Link = TypeVar("Link", bound=Hashable)

ACCOUNTS = 4096
"""Columns. Two accounts that fall into one column share its count, which is rare with few accounts."""
_COUNT = np.dtype(np.int32)
_SINCE = np.dtype(np.float64)


class SlotBoard:
    """What all workers of one server hold and wait for."""

    def __init__(self, rows: int, memory: memoryview | None = None) -> None:
        """`memory`: `size_bytes(rows)` bytes, zero at first, shared by all; without it a board of one's own."""
        memory = memory if memory is not None else memoryview(bytearray(self.size_bytes(rows)))
        cells = rows * ACCOUNTS
        self.since = np.frombuffer(memory, _SINCE, cells).reshape(rows, ACCOUNTS)
        counts = np.frombuffer(memory, _COUNT, offset=cells * _SINCE.itemsize)
        self.held = counts[:cells].reshape(rows, ACCOUNTS)
        self.totals = counts[cells:].reshape(2, rows)
        self.rows = rows

    @staticmethod
    def size_bytes(rows: int) -> int:
        """How much memory a board needs."""
        return rows * ACCOUNTS * (_SINCE.itemsize + _COUNT.itemsize) + 2 * rows * _COUNT.itemsize

    def clear(self, row: int) -> None:
        """The worker of this row is gone, and its links with it."""
        self.since[row] = 0.0
        self.held[row] = 0
        self.totals[:, row] = 0


class UploadSlots(Generic[Link]):
    """The slots as one worker sees them. Times are the machine's monotonic clock, which is one for all workers."""

    def __init__(
        self, slot_count: int, board: SlotBoard | None = None, row: int = 0, on_wait: Callable[[], None] | None = None
    ) -> None:
        """`on_wait`: a link stands in line, so that `due` should be called again soon."""
        board = board or SlotBoard(1)
        self._on_wait = on_wait
        self._slot_count, self._row, self._rows = slot_count, row, range(board.rows)
        self._board_since, self._board_held = board.since, board.held
        # Plain buffers, since reading one element of a numpy array is slow.
        self._held, self._totals = board.held.data, board.totals.data
        self._holders: dict[Link, int] = {}
        self._queues: dict[int, deque[tuple[float, Link]]] = {}
        self._column_of: dict[Link, int] = {}
        self._started_at_s: dict[int, float] = {}

    @property
    def is_waiting(self) -> bool:
        """Whether any link of this worker stands in line."""
        return bool(self._column_of)

    def want(self, link: Link, account: str, now_s: float) -> list[Link]:
        """The link has a piece to send; returns the links that may start, this one or another with a better claim."""
        if link in self._holders or link in self._column_of:
            return []
        column = zlib.crc32(account.encode()) % ACCOUNTS
        self._queues.setdefault(column, deque()).append((now_s, link))
        self._column_of[link] = column
        self._show_waiting(column)
        started = self.due(now_s)
        if self._on_wait is not None and self._column_of:
            self._on_wait()
        return started

    def release(self, link: Link, now_s: float) -> list[Link]:
        """The link sent its piece, or is gone; returns the links of this worker that may start now."""
        waiting = self._column_of.pop(link, None)
        if waiting is not None:
            self._queues[waiting] = deque(entry for entry in self._queues[waiting] if entry[1] != link)
            self._show_waiting(waiting)
        column = self._holders.pop(link, None)
        if column is not None:
            self._count(column, -1)
        return self.due(now_s)

    def due(self, now_s: float) -> list[Link]:
        """Links of this worker that may start now; they hold a slot from here on."""
        started: list[Link] = []
        while self._column_of and sum(self._totals[0, row] for row in self._rows) < self._slot_count:
            column = min(self._queues, key=self._claim)
            if self._is_beaten(column) or self._has_its_share(column):
                break
            _, link = self._queues[column].popleft()
            del self._column_of[link]
            self._started_at_s[column] = math.nextafter(now_s, math.inf)  # behind a link that asks at this instant
            self._show_waiting(column)
            self._holders[link] = column
            self._count(column, 1)
            started.append(link)
        return started

    # ------------------------------------------------------------ inside

    def _claim(self, column: int) -> tuple[int, float]:
        """The smaller, the better."""
        return sum(self._held[row, column] for row in self._rows), self._since(column)

    def _since(self, column: int) -> float:
        """An account that was served last stands at the end of the line, however long its next link has waited."""
        return max(self._queues[column][0][0], self._started_at_s.get(column, 0.0))

    def _has_its_share(self, column: int) -> bool:
        """Rounded up, so that accounts of a few links each do not leave slots unused."""
        held = sum(self._held[row, column] for row in self._rows)
        if not held:
            return False
        is_here = (self._board_held > 0).any(axis=0) | (self._board_since > 0.0).any(axis=0)
        return held * int(is_here.sum()) >= self._slot_count

    def _is_beaten(self, column: int) -> bool:
        """Whether a link that waits at another worker has a better claim."""
        if not any(self._totals[1, row] for row in self._rows if row != self._row):
            return False
        since = np.where(self._board_since > 0.0, self._board_since, np.inf)
        since[self._row] = np.inf
        since = since.min(axis=0)
        waiting = np.flatnonzero(since < np.inf)
        held = self._board_held.sum(axis=0)[waiting]
        own_held, own_since = self._claim(column)
        better = (held < own_held) | ((held == own_held) & (since[waiting] < own_since))
        return bool(better.any())

    def _count(self, column: int, change: int) -> None:
        self._held[self._row, column] += change
        self._totals[0, self._row] += change

    def _show_waiting(self, column: int) -> None:
        queue = self._queues[column]
        if queue:
            self._board_since[self._row, column] = self._since(column)
        else:
            del self._queues[column]
            self._board_since[self._row, column] = 0.0
        self._totals[1, self._row] = len(self._queues)
