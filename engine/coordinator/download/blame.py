"""Who sent wrong bytes in one download, what follows from it, and how a server that was wrong in good faith comes back.

Nothing is taken for some minutes from an account that sent a piece which does not match. Its server is told which piece
that was and may look at its own copy. If the server finds that its file was changed, it says so (it reads the file
again), and its account is not left out any longer; that is granted a few times at most. So an honest server serves
again as soon as its copy is right, and a dishonest one has cost no more than a few pieces.

Invariant: from the moment a piece was found wrong until a pardon, not one piece is asked of that account.
Not here: whom to ask otherwise (peer_book), what the server does (mismatch_checks, engine.client.sharing).
"""

from engine.coordinator.download.peer_book import PeerBook
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.events import BadPeer, PeerPardoned
from engine.coordinator.peer_links import PeerLink
from engine.coordinator.services import Services
from engine.ipc import orders

_ANSWER_S = 10.0
"""How long a server may take to look at its copy."""


class Blame:
    """Of one download."""

    def __init__(self, wanted: WantedFile, peer_book: PeerBook, services: Services) -> None:
        self._wanted, self._peer_book, self._services = wanted, peer_book, services
        self._asked_until_s: dict[int, float] = {}  # of links whose server was told of a wrong piece

    def shut_out(self, user_id: str, why: str, now_s: float, link: PeerLink | None = None, piece: int = 0) -> None:
        """An account proved wrong or hostile. `link`: where the wrong `piece` came from, if the file is open on it."""
        ban_s, pool = self._services.settings.ban_s, self._services.pool
        if self._peer_book.ban(user_id, now_s + ban_s, now_s):
            self._services.directory.notice(BadPeer(self._wanted.name, user_id, why, ban_s))
            if link is not None:
                self._asked_until_s[link.link_id] = now_s + _ANSWER_S
                pool.send(link.worker, orders.SendMismatch(link.link_id, self._wanted.file_id, piece))
        for each in self._services.links:
            if each.peer.user_id == user_id and each.link_id not in self._asked_until_s:
                pool.send(each.worker, orders.EndLink(each.link_id, why))

    def rereads(self, link: PeerLink) -> None:
        """The server reads its copy again: because it was told of the piece, or by itself."""
        if self._asked_until_s.pop(link.link_id, None) is None:
            return
        user_id = link.peer.user_id
        if self._peer_book.pardon(user_id):
            self._services.directory.notice(PeerPardoned(self._wanted.name, user_id))

    def unanswered(self, now_s: float) -> list[int]:
        """Links whose servers stood by what they sent: they had time enough. Each is named once."""
        late = [link_id for link_id, until_s in self._asked_until_s.items() if until_s < now_s]
        for link_id in late:
            del self._asked_until_s[link_id]
        return late
