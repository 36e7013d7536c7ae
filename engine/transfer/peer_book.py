"""Whom one download may ask: the peers that it knows, and those of whom it takes nothing for a while. Pure.

Invariant: a peer that is banned or has refused is not usable before its time is over, whoever names it.
Times are the caller's monotonic clock. Not here: links and when to dial them again (links), what peers say of other
peers (hearsay).
"""

from engine.transfer.hearsay import Hearsay
from engine.transfer.links import PeerAddress
from engine.transfer.peer_answers import PeerAnswers


class PeerBook:
    """Of one download. `has_looked`: whether the trackers were asked for peers yet."""

    def __init__(self) -> None:
        self.peers: dict[bytes, PeerAddress] = {}
        self.hearsay = Hearsay()
        self.answers = PeerAnswers()
        self.has_looked = False
        self.banned_until_s: dict[str, float] = {}
        self.refused_until_s: dict[bytes, float] = {}

    def meet(self, peer: PeerAddress) -> None:
        """The tracker names a peer. Where it answers now no other client of its account does: each login has a key of
        its own. Another account may only say that it is there, so its word puts nobody out.
        """
        self.peers = {
            thumbprint: known
            for thumbprint, known in self.peers.items()
            if (known.user_id, known.host, known.port) != (peer.user_id, peer.host, peer.port)
        }
        self.peers[peer.thumbprint] = peer
        self.refused_until_s.pop(peer.thumbprint, None)

    def usable(self, now_s: float) -> list[PeerAddress]:
        """Those worth a link now."""
        return [
            peer
            for peer in self.peers.values()
            if self.banned_until_s.get(peer.user_id, 0.0) <= now_s
            and self.refused_until_s.get(peer.thumbprint, 0.0) <= now_s
        ]
