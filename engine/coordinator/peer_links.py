"""The client's fetch links: to whom, over which worker, and when to dial again.

A link belongs to the client, not to a download: two files from one peer share it, and it stays for the next one. With
fewer peers than workers every worker gets its own link to the same peer, so that one fat peer keeps all cores busy.

Not here: what is asked over a link (swarm.scheduler), sockets (worker).
"""

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.coordinator.download.peer_answers import PATIENCE_S
from engine.settings import Settings

_JITTER = (0.75, 1.0)
"""Of the delay before a peer is dialled again; the settings' values are the longest."""


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """A peer that serves a file. `thumbprint`, SHA-256 of the public key, tells two clients of one account apart."""

    user_id: str
    host: str
    port: int
    thumbprint: bytes


@dataclass(slots=True)
class PeerLink:
    """`worker`: the number of the worker that has it. `files`: the ids that were opened on it, or are being opened.
    `is_open`: not encrypted. `is_hint`: dialled on another peer's word.
    """

    link_id: int
    worker: int
    peer: PeerAddress
    is_open: bool
    is_hint: bool = False
    is_up: bool = False
    files: set[int] = field(default_factory=set)
    used_at_s: float = 0.0
    dialled_at_s: float | None = None


@dataclass(slots=True)
class _Absence:
    """A peer that could not be reached: not before `until_s`, and later still the next time."""

    until_s: float
    delay_s: float


class PeerLinks:
    """All fetch links, by id. Times are the caller's monotonic clock."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._links: dict[int, PeerLink] = {}
        self._by_peer: dict[tuple[bytes, int, bool], PeerLink] = {}
        self._absent: dict[bytes, _Absence] = {}
        self._next_id = 1

    def __iter__(self) -> Iterator[PeerLink]:
        return iter(list(self._links.values()))

    def find(self, link_id: int) -> PeerLink | None:
        return self._links.get(link_id)

    def wanted(
        self, peers: list[PeerAddress], workers: list[int], now_s: float, *, is_open: bool, file_id: int, missing: int
    ) -> list[tuple[PeerAddress, int]]:
        """Between which peers and workers one download should have links of its kind, those that exist included.
        Accounts take turns, as in the tracker's handout; a peer that has not answered for a while comes last.

        With few peers every worker has a link to each, but no more of them than pieces are `missing`.
        """
        near = [peer for peer in peers if not self._is_absent(peer, now_s)]
        if not near or not workers:
            return []
        if len(near) < len(workers):
            return [
                (peer, worker)
                for peer in near
                for worker in self._least_busy(peer, workers, is_open, file_id)[:missing]
            ]
        chosen: list[tuple[PeerAddress, int]] = []
        load = {worker: sum(link.worker == worker for link in self) for worker in workers}
        of_kind = [link for link in self if link.worker in load and link.is_open == is_open]
        linked = {link.peer.thumbprint: link for link in sorted(of_kind, key=lambda link: link.is_up)}
        for peer in _in_turn(near, linked, now_s)[: self._settings.links_per_download]:
            existing = linked.get(peer.thumbprint)
            worker = existing.worker if existing else min(load, key=load.__getitem__)
            load[worker] += existing is None
            chosen.append((peer, worker))
        return chosen

    def _least_busy(self, peer: PeerAddress, workers: list[int], is_open: bool, file_id: int) -> list[int]:
        """Those first that carry the file already, then by how many they carry."""

        def load(worker: int) -> int:
            link = self._by_peer.get((peer.thumbprint, worker, is_open))
            return 0 if link is None else -1 if file_id in link.files else len(link.files)

        return sorted(workers, key=load)

    def link_to(self, peer: PeerAddress, worker: int, *, is_open: bool, is_hint: bool = False) -> tuple[PeerLink, bool]:
        """The link of this pair and kind, and whether it is new and must be dialled. A link that is still
        being made on a hint does not count.
        """
        known = self._by_peer.get((peer.thumbprint, worker, is_open))
        if known is not None and (known.is_up or not known.is_hint):
            return known, False
        link = PeerLink(self._next_id, worker, peer, is_open, is_hint)
        self._next_id += 1
        self._links[link.link_id] = self._by_peer[peer.thumbprint, worker, is_open] = link
        return link, True

    def up(self, link: PeerLink) -> None:
        link.is_up = True
        self._absent.pop(link.peer.thumbprint, None)

    def down(self, link: PeerLink, now_s: float) -> None:
        """It ended; its peer is left alone for a while, longer each time in a row."""
        self.forget(link)
        if link.is_hint and not link.is_up:
            return  # that says nothing about the peer
        settings, before = self._settings, self._absent.get(link.peer.thumbprint)
        if before is not None and before.until_s > now_s:
            return  # its other links went down for the same reason
        delay_s = min(before.delay_s * 2, settings.redial_delay_max_s) if before else settings.redial_delay_s
        # Never in step with others who lost the same peer.
        self._absent[link.peer.thumbprint] = _Absence(now_s + delay_s * random.uniform(*_JITTER), delay_s)

    def forget(self, link: PeerLink) -> None:
        """This client ends it: a new one may be made at once, and nothing is held against the peer."""
        self._links.pop(link.link_id, None)
        key = link.peer.thumbprint, link.worker, link.is_open
        if self._by_peer.get(key) is link:
            del self._by_peer[key]

    def idle(self, now_s: float) -> list[PeerLink]:
        """Links that carried no file for a while."""
        for link in self:
            if link.files or not link.used_at_s:
                link.used_at_s = now_s
        return [link for link in self if now_s - link.used_at_s > self._settings.idle_link_s]

    def welcome_back(self, peer: PeerAddress) -> None:
        """The tracker just said that this peer is there: dial at once."""
        self._absent.pop(peer.thumbprint, None)

    def _is_absent(self, peer: PeerAddress, now_s: float) -> bool:
        absence = self._absent.get(peer.thumbprint)
        return absence is not None and absence.until_s > now_s


def _in_turn(peers: list[PeerAddress], linked: dict[bytes, PeerLink], now_s: float) -> list[PeerAddress]:
    """One peer of every account before the second of any; of one account those first whose links are up, then those
    being dialled. A peer that is late with its answer comes after all others.
    """
    places: list[tuple[bool, int, PeerAddress]] = []
    for peer in peers:
        link = linked.get(peer.thumbprint)
        is_late = False
        if link is not None:
            link.dialled_at_s = now_s if link.dialled_at_s is None else link.dialled_at_s
            is_late = not link.is_up and now_s - link.dialled_at_s >= PATIENCE_S
        places.append((is_late, 2 if link is None else 0 if link.is_up else 1, peer))
    places.sort(key=lambda place: place[:2])
    turns: Counter[str] = Counter()
    order: list[tuple[bool, int, int, PeerAddress]] = []
    for is_late, standing, peer in places:
        order.append((is_late, turns[peer.user_id], standing, peer))
        turns[peer.user_id] += 1
    return [peer for *_, peer in sorted(order, key=lambda each: each[:3])]
