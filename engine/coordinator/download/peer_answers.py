"""What became of the peers that one download turned to: which answer, which gave a piece, which did not. Pure.

The tracker hears of it with the next question for peers, so that it names others; and a download none of whose peers
answers asks again sooner. A peer fails when its link ends before it gave a piece, or when it has not opened the file
PATIENCE_S after it was turned to; the dial goes on meanwhile, and a peer that answers late has not failed.

Invariant: no peer is in two of waiting, open and failed. Times are the caller's monotonic clock.
Not here: whom to ask (peer_book), when to dial again (links).
"""

from collections import Counter
from typing import NamedTuple

PATIENCE_S = 2.0
"""Four round trips to the other side of the world, a busy machine included."""
REPORTED_MAX = 32


class PeerReport(NamedTuple):
    """For the tracker, by thumbprint: which peers gave nothing, and which gave something since the last report."""

    failed: tuple[bytes, ...] = ()
    served: tuple[bytes, ...] = ()


class PeerAnswers:
    """Of one download; peers by thumbprint. Several links may lead to one."""

    def __init__(self) -> None:
        self._waiting_since_s: dict[bytes, float] = {}
        self._open: Counter[bytes] = Counter()
        self._gave: set[bytes] = set()
        self._failed: dict[bytes, None] = {}
        self._served: dict[bytes, None] = {}

    @property
    def has_any(self) -> bool:
        """Whether some peer has the file open for us now."""
        return bool(self._open)

    def turned_to(self, peer: bytes, now_s: float) -> None:
        """It was asked to open the file, or is being dialled for that."""
        if peer not in self._open and peer not in self._failed:
            self._waiting_since_s.setdefault(peer, now_s)

    def opened(self, peer: bytes) -> None:
        self._open[peer] += 1
        self._waiting_since_s.pop(peer, None)
        self._failed.pop(peer, None)

    def gave(self, peer: bytes) -> None:
        """It gave a piece, or a part of one, that is right."""
        self._gave.add(peer)
        self._served[peer] = None

    def ended(self, peer: bytes, *, was_open: bool) -> None:
        """A link to it is gone, or it refused or closed the file."""
        if was_open:
            self._open[peer] -= 1
        if self._open[peer] > 0:
            return
        del self._open[peer]
        self._waiting_since_s.pop(peer, None)
        if peer in self._gave:
            self._gave.discard(peer)
        else:
            self._failed[peer] = None

    def excused(self, peer: bytes) -> None:
        """It refused, and will serve in a while: that is no failure."""
        self._failed.pop(peer, None)

    def report(self, now_s: float) -> PeerReport:
        """Bounded to what a message holds, the newest of it."""
        late = [peer for peer, since_s in self._waiting_since_s.items() if now_s - since_s >= PATIENCE_S]
        failed = [*self._failed, *late]
        return PeerReport(tuple(failed[-REPORTED_MAX:]), tuple(list(self._served)[-REPORTED_MAX:]))

    def was_told(self, report: PeerReport) -> None:
        """The tracker has this report. What happens from now on is for the next one."""
        for peer in report.failed:
            self._failed.pop(peer, None)
        for peer in report.served:
            self._served.pop(peer, None)
