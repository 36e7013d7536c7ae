"""Who may send now: a fixed number of links at a time, the others wait their turn in the order they asked.

A slot is held for one piece. Eight fair slots are near the optimum for a swarm of equal links; two slots, neediest
first, cost it a factor of three (ARCHITECTURE.md, scheduling).

Invariant: a link holds at most one slot and stands in the queue at most once, so one link with many requests gets no
more than one with a single request.
"""

from collections import deque
from collections.abc import Hashable
from typing import Generic, TypeVar

Link = TypeVar("Link", bound=Hashable)


class UploadSlots(Generic[Link]):
    """Slots of one worker."""

    def __init__(self, slot_count: int) -> None:
        self._free = slot_count
        self._holders: set[Link] = set()
        self._queue: deque[Link] = deque()

    def want(self, link: Link) -> bool:
        """The link has a piece to send; True if it may start, otherwise `release` of another will name it."""
        if link in self._holders or link in self._queue:
            return False
        if self._free:
            self._free -= 1
            self._holders.add(link)
            return True
        self._queue.append(link)
        return False

    def release(self, link: Link) -> Link | None:
        """The link sent its piece, or is gone; returns the link that may start now in its stead."""
        if link in self._queue:
            self._queue.remove(link)
        if link not in self._holders:
            return None
        self._holders.discard(link)
        if not self._queue:
            self._free += 1
            return None
        successor = self._queue.popleft()
        self._holders.add(successor)
        return successor
