"""Thousands of connections at a bounded rate, from one thread: what each sends, and whether it closes again.

Most floods are made of these: they cost the attacker little, since it does no TLS of its own. A handshake is begun with
a ClientHello that was made once.
"""

import errno
import itertools
import select
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

_READY_AT_LATEST_S = 6.0
_LOOK_EVERY_S = 0.01


@dataclass(frozen=True, slots=True)
class Manners:
    """`keep`: connections at once; `rate`: new ones a second; `first`: said at once; `drip`: a byte a second of this.

    `leaves`: as soon as it is answered, to come again.
    """

    keep: int
    rate: float
    first: bytes = b""
    drip: bytes = b""
    leaves: bool = False


class Storm:
    def __init__(self, place: tuple[str, int], sources: Sequence[str], manners: Manners) -> None:
        self._place, self._manners = place, manners
        self._sources = itertools.cycle(sources)
        self._poll = select.epoll()
        self._open: dict[int, socket.socket] = {}
        self._dripped: dict[int, int] = {}
        self.count_opened = 0

    def run(self, seconds: float, on_ready: Callable[[], object]) -> None:
        """`on_ready` is called once it is as large as it gets."""
        began_s = at_s = dripped_at_s = time.monotonic()
        may_open, is_ready = 0.0, False
        while at_s - began_s < seconds:
            now_s = time.monotonic()
            may_open = min(may_open + (now_s - at_s) * self._manners.rate, self._manners.rate / 10)
            at_s = now_s
            while may_open >= 1 and len(self._open) < self._manners.keep:
                may_open -= 1
                self._dial()
            for descriptor, event in self._poll.poll(_LOOK_EVERY_S):
                self._hear(descriptor, event)
            if self._manners.drip and at_s - dripped_at_s >= 1:
                dripped_at_s = at_s
                self._drip()
            is_full = len(self._open) >= self._manners.keep or at_s - began_s > _READY_AT_LATEST_S
            if not is_ready and (is_full or self._manners.leaves):
                is_ready = True
                on_ready()

    def _dial(self) -> None:
        link = socket.socket()
        link.setblocking(False)
        try:
            link.bind((next(self._sources), 0))
            if link.connect_ex(self._place) not in (0, errno.EINPROGRESS):
                raise OSError
        except OSError:
            link.close()
            return
        self.count_opened += 1
        self._open[link.fileno()] = link
        self._poll.register(link, select.EPOLLIN | select.EPOLLOUT)

    def _hear(self, descriptor: int, event: int) -> None:
        link = self._open[descriptor]
        try:
            if event & select.EPOLLOUT:
                self._poll.modify(link, select.EPOLLIN)
                if self._manners.first:
                    link.send(self._manners.first)
            is_answered = bool(event & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR))
            if is_answered and (self._manners.leaves or not link.recv(1 << 16)):
                self._close(descriptor)
        except BlockingIOError:
            pass
        except OSError:
            self._close(descriptor)

    def _drip(self) -> None:
        for descriptor, link in list(self._open.items()):
            at = self._dripped.get(descriptor, 0)
            self._dripped[descriptor] = at + 1
            try:
                link.send(self._manners.drip[at : at + 1])
            except OSError:
                self._close(descriptor)

    def _close(self, descriptor: int) -> None:
        self._dripped.pop(descriptor, None)
        self._poll.unregister(descriptor)
        self._open.pop(descriptor).close()


def client_hello() -> bytes:
    """What a client of TLS says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    begun = context.wrap_bio(incoming, outgoing, server_hostname="member")
    try:
        begun.do_handshake()
    except ssl.SSLWantReadError:
        return outgoing.read()
    raise AssertionError("a handshake of one side")
