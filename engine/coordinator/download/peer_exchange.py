"""Hints: peers of one download that other peers name, so that a swarm holds together without a tracker. Pure.

A server names the peers from which it fetches the file itself. A named peer has proven nothing yet. It is dialled like
a peer that the tracker names, and has to show the key and the account that were named, and to share the file. Until
then nothing is asked of it, and nothing is held against it.

Invariant: what a member may say is bounded, and so is what follows from it. The newest HINTS_PER_PEER of each of
PEERS_HEARD peers are kept, DIALS_MAX are dialled at a time, and only while the download has few peers. An address that
did not keep its promise is left alone for DISTRUST_S.
Times are the caller's monotonic clock. Not here: sending hints and dialling (download_links).
"""

import ipaddress
from collections.abc import Collection, Sequence

from engine.coordinator.peer_links import PeerAddress
from engine.wire.messages import GOSSIP_PEERS_MAX, Neighbour

HINTS_PER_PEER = GOSSIP_PEERS_MAX
PEERS_HEARD = 8
PAUSE_S_MIN = 0.05
"""A peer that says more in less time is not listened to."""
DIALS_MAX = 2
DISTRUST_S = 300.0
DISTRUSTED_MAX = 256

_Place = tuple[str, int]


class PeerExchange:
    def __init__(self) -> None:
        self._hints: dict[bytes, tuple[float, list[PeerAddress]]] = {}
        self._trying: dict[bytes, PeerAddress] = {}
        self._distrusted_until_s: dict[_Place, float] = {}

    def heard(self, source: PeerAddress, peers: Sequence[Neighbour], now_s: float) -> None:
        """What a peer says takes the place of what it said before; of too many peers the oldest is forgotten."""
        before = self._hints.get(source.thumbprint)
        if before is not None and now_s - before[0] < PAUSE_S_MIN:
            return
        self._hints.pop(source.thumbprint, None)
        hints = [PeerAddress(each.user_id, each.host, each.port, each.thumbprint) for each in peers[:HINTS_PER_PEER]]
        self._hints[source.thumbprint] = now_s, [each for each in hints if _may_dial(each.host, source.host)]
        if len(self._hints) > PEERS_HEARD:
            del self._hints[next(iter(self._hints))]

    def next_to_try(self, known: Collection[bytes], banned: Collection[str], now_s: float) -> list[PeerAddress]:
        """The peers to dial now; they count as being tried. `known`: thumbprints of peers that need no hint; `banned`:
        accounts of which nothing is taken.
        """
        found: list[PeerAddress] = []
        for _, hints in self._hints.values():
            for hint in hints:
                if len(self._trying) >= DIALS_MAX:
                    return found
                is_distrusted = self._distrusted_until_s.get((hint.host, hint.port), 0.0) > now_s
                is_known = hint.thumbprint in known or hint.thumbprint in self._trying
                if not is_distrusted and not is_known and hint.user_id not in banned:
                    self._trying[hint.thumbprint] = hint
                    found.append(hint)
        return found

    def proved(self, peer: PeerAddress) -> bool:
        """It opened the file. Returns whether it was a hint."""
        return self._trying.pop(peer.thumbprint, None) is not None

    def failed(self, peer: PeerAddress, now_s: float) -> None:
        """Its link is gone, or it does not share the file. Says nothing about a peer that was not being tried."""
        if self._trying.pop(peer.thumbprint, None) is None:
            return
        self._distrusted_until_s[peer.host, peer.port] = now_s + DISTRUST_S
        if len(self._distrusted_until_s) > DISTRUSTED_MAX:
            del self._distrusted_until_s[next(iter(self._distrusted_until_s))]


def _may_dial(host: str, source_host: str) -> bool:
    """Whether it is the address of one host. This machine itself only if the peer that names it is on it too."""
    address = ipaddress.ip_address(host)
    if address.is_multicast or address.is_unspecified or host == "255.255.255.255":
        return False
    return not address.is_loopback or ipaddress.ip_address(source_host).is_loopback
