"""The peers of one download: which may be asked, which are banned, and what became of trying to reach each. Pure.

A download that waits says for which peers and why. So every try that failed is remembered, until the peer opens the
file or the tracker does not name it any more.

Invariants: a peer that is banned or has refused is not usable before its time is over, even if it is named, unless it
was pardoned; "nobody online has it" is said only if a tracker was asked and named no peer.
Times are the caller's monotonic clock. Not here: links and when to dial them again (links), what peers say of other
peers (peer_exchange).
"""

import contextlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from engine.coordinator.download.peer_answers import PeerAnswers
from engine.coordinator.download.peer_exchange import PeerExchange
from engine.coordinator.peer_links import PeerAddress
from engine.errors import ShoalError
from engine.reports import UnreachedPeer
from engine.wire.messages import REREADING

PARDONS_MAX = 3
"""How often an account that owns up to a wrong piece is asked again before its time is over, in one download."""
TRIED_MAX = 128
_SAID_MAX = 4
"""Peers named in a sentence; programs get all of them."""

_CAUSES = {
    "dialling": "no answer yet",
    "refused": "nobody listens there",
    "timed_out": "no answer; a firewall or router may be in between",
    "no_route": "the network has no way there",
    "no_answer": "somebody is there but says nothing",
    "tls_failed": "the certificates of the two sides do not fit each other",
    "wrong_clock": "certificates are not valid now; are both clocks right?",
    "other_peer": "somebody else answers there",
    "broke_protocol": "it broke the protocol",
    "hung_up": "the connection was ended",
    "this_client": "the address leads to this client itself",
    "ended_here": "the connection was ended here",
    "failed_here": "this machine cannot connect",
    "not_shared": "it does not share the file now",
    "rereading": "it reads its copy again before it serves it on",
    "ticket_refused": "it does not accept that you are a member",
    "shut_out": "it sent wrong bytes and is left out for a while",
    "nothing_new": "it has no piece that is missing here",
}
"""Every cause of a wait there is, in words. The first is for a try under way, the last six for who was reached."""

_REFUSALS = {
    "not_shared": "not_shared",
    "closed": "not_shared",
    REREADING: "rereading",
    "bad_ticket": "ticket_refused",
    "old_ticket": "ticket_refused",
    "sealed_group": "ticket_refused",
}


@dataclass(slots=True)
class _Tries:
    """Tries in a row that failed; `under_way`: links that are being made for the newest one."""

    peer: PeerAddress
    count: int
    since_s: float
    cause: str
    under_way: int = 0


class PeerBook:
    """Of one download. `has_looked`: whether a tracker named the peers; `trouble`: why none can be asked now."""

    def __init__(self, peers: Iterable[PeerAddress] = ()) -> None:
        """`peers`: those that are known before a tracker is asked."""
        self.peers = {peer.thumbprint: peer for peer in peers}
        self.peer_exchange = PeerExchange()
        self.answers = PeerAnswers()
        self.has_looked = False
        self.trouble: str | None = None
        self._banned_until_s: dict[str, float] = {}
        self._refused_until_s: dict[bytes, float] = {}
        self._tries: dict[bytes, _Tries] = {}
        self._pardons: Counter[str] = Counter()

    # ------------------------------------------------------------ who is known

    def named(self, found: Iterable[PeerAddress], linked: Iterable[PeerAddress]) -> None:
        """The tracker's answer takes the place of what it said before; a peer that is linked or rereads stays known."""
        soon = [tries.peer for tries in self._tries.values() if tries.cause == "rereading"]
        self.peers = {peer.thumbprint: peer for peer in (*soon, *linked)}
        for peer in found:
            self.meet(peer)
        self._tries = {thumbprint: tries for thumbprint, tries in self._tries.items() if thumbprint in self.peers}
        self.has_looked, self.trouble = True, None

    def meet(self, peer: PeerAddress) -> None:
        """The tracker names a peer. Where it answers now no other client of its account does: each login has a key of
        its own. Another account may only say that it is there, so its word removes no peer.
        """
        self.peers = {
            thumbprint: known
            for thumbprint, known in self.peers.items()
            if (known.user_id, known.host, known.port) != (peer.user_id, peer.host, peer.port)
        }
        self.peers[peer.thumbprint] = peer
        self._refused_until_s.pop(peer.thumbprint, None)
        tries = self._tries.get(peer.thumbprint)
        if tries is not None and tries.peer != peer:
            del self._tries[peer.thumbprint]

    def usable(self, now_s: float) -> list[PeerAddress]:
        """Those worth a link now."""
        return [
            peer
            for peer in self.peers.values()
            if self._banned_until_s.get(peer.user_id, 0.0) <= now_s
            and self._refused_until_s.get(peer.thumbprint, 0.0) <= now_s
        ]

    def banned(self, now_s: float) -> set[str]:
        """Accounts of which nothing is taken now."""
        return {user_id for user_id, until_s in self._banned_until_s.items() if until_s > now_s}

    @contextlib.contextmanager
    def noting_trouble(self) -> Iterator[None]:
        """Around a question to the trackers: what they do not give is part of why a download waits."""
        try:
            yield
        except ShoalError as error:
            self.trouble = str(error)

    # ------------------------------------------------------------ what came of it

    def trying(self, peer: PeerAddress, now_s: float) -> None:
        """A link to it is being made, or the file is being asked for on one. Several at a time are one try."""
        if peer.thumbprint not in self.peers:
            return  # a hint of another peer: the user need not hear that it led nowhere
        tries = self._tries.get(peer.thumbprint)
        if tries is None:
            tries = self._tries[peer.thumbprint] = _Tries(peer, 0, now_s, "dialling")
            if len(self._tries) > TRIED_MAX:
                del self._tries[next(iter(self._tries))]
        tries.count += not tries.under_way
        tries.under_way += 1

    def failed(self, peer: PeerAddress, cause: str, now_s: float) -> None:
        """A link to it ended, or it does not give the file."""
        tries = self._tries.get(peer.thumbprint)
        if tries is None and peer.thumbprint not in self.peers:
            return
        if tries is None:  # it was reached before
            tries = self._tries[peer.thumbprint] = _Tries(peer, 1, now_s, cause)
        tries.cause = cause
        tries.under_way = max(0, tries.under_way - 1)

    def refused(self, peer: PeerAddress, code: str, now_s: float) -> None:
        """It answered, and does not give the file. `code` is the peer's word, so anything may be in it."""
        self.failed(peer, _REFUSALS.get(code, "not_shared"), now_s)

    def leave_alone(self, peer: PeerAddress, until_s: float) -> None:
        """It refused: it is not usable before then, unless a tracker names it."""
        self._refused_until_s[peer.thumbprint] = until_s

    def ban(self, user_id: str, until_s: float, now_s: float) -> bool:
        """Nothing is taken of this account until then. False if it was banned already."""
        if self._banned_until_s.get(user_id, 0.0) > now_s:
            return False
        self._banned_until_s[user_id] = until_s
        return True

    def pardon(self, user_id: str) -> bool:
        """It may serve before its time is over, unless that was granted too often."""
        if self._pardons[user_id] >= PARDONS_MAX or user_id not in self._banned_until_s:
            return False
        self._pardons[user_id] += 1
        del self._banned_until_s[user_id]
        return True

    def reached(self, peer: PeerAddress) -> None:
        """It gives the file. A peer that was a hint of others is known from now on."""
        self._tries.pop(peer.thumbprint, None)
        if self.peer_exchange.proved(peer):
            self.peers[peer.thumbprint] = peer

    # ------------------------------------------------------------ for whom it waits

    @property
    def is_alone(self) -> bool:
        """A tracker was asked, and no peer that has the file is online."""
        return self.has_looked and self.trouble is None and not self.peers

    def waiting_for(self, opened: Collection[bytes], now_s: float) -> tuple[UnreachedPeer, ...]:
        """All peers that should have the file and give nothing. `opened`: thumbprints of those that are linked and
        have the file open.
        """
        return tuple(self._unreached(peer, opened, now_s) for peer in self.peers.values())

    def _unreached(self, peer: PeerAddress, opened: Collection[bytes], now_s: float) -> UnreachedPeer:
        tries = self._tries.get(peer.thumbprint)
        count, since_s = (tries.count, now_s - tries.since_s) if tries is not None else (0, 0.0)
        if self._banned_until_s.get(peer.user_id, 0.0) > now_s:
            cause = "shut_out"
        elif peer.thumbprint in opened:
            cause = "nothing_new"
        else:
            cause = tries.cause if tries is not None else "dialling"
        return UnreachedPeer(peer.user_id, peer.host, peer.port, count, cause, since_s)

    def explain(self, name: str, waiting_for: tuple[UnreachedPeer, ...]) -> str:
        """The same in a sentence, for people."""
        if waiting_for:
            said = "; ".join(_said(each) for each in waiting_for[:_SAID_MAX])
            rest = f"; and {len(waiting_for) - _SAID_MAX} more" if len(waiting_for) > _SAID_MAX else ""
            besides = f". Nobody else is known, since {self.trouble}" if self.trouble is not None else ""
            return f"nothing of {name} comes: {said}{rest}; it goes on by itself when that changes{besides}"
        if self.trouble is not None:
            return f"who has {name} cannot be found out: {self.trouble}"
        if self.is_alone:
            return f"nobody online has {name} yet; the download starts by itself when someone comes"
        return f"the trackers are being asked who has {name}"


def _said(peer: UnreachedPeer) -> str:
    place = f"[{peer.host}]:{peer.port}" if ":" in peer.host else f"{peer.host}:{peer.port}"
    tried = f" (tried {peer.tries} times)" if peer.tries > 1 else ""
    return f"{peer.user_id} at {place}: {_CAUSES[peer.cause]}{tried}"
