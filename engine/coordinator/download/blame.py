"""Who sent wrong bytes in one download, what follows from it, and how a server that was wrong in good faith comes back.

Nothing is taken for some minutes from an account that sent a piece which does not match. Its server is told which piece
that was and may look at its own copy. If it finds that its file was changed, it says so (it reads the file again), and
is not left out any longer, a few times at most: whoever errs honestly serves again as soon as its copy is right, and
whoever does not has cost no more than a few pieces.

Invariant: from the moment a piece was found wrong until a pardon, not one piece is asked of that account.
Not here: whom to ask otherwise (peer_book), what the server does (mismatch_checks, shares).
"""

from engine.coordinator.directory import Directory
from engine.coordinator.download.download import Download
from engine.coordinator.events import BadPeer, PeerPardoned
from engine.coordinator.peer_links import PeerLink, PeerLinks
from engine.coordinator.pool import Pool
from engine.ipc import orders

_ANSWER_S = 10.0
"""How long a server may take to look at its copy."""


class Blame:
    """Of one download."""

    def __init__(self, download: Download, pool: Pool, links: PeerLinks, directory: Directory, ban_s: float) -> None:
        self._download = download
        self._pool, self._links, self._directory = pool, links, directory
        self._ban_s = ban_s
        self._asked_until_s: dict[int, float] = {}  # of links whose server was told of a wrong piece

    def shut_out(self, user_id: str, why: str, now_s: float, link: PeerLink | None = None, piece: int = 0) -> None:
        """An account proved wrong or hostile. `link`: where the wrong `piece` came from, if it was that."""
        book = self._download.peer_book
        if book.banned_until_s.get(user_id, 0.0) <= now_s:
            book.banned_until_s[user_id] = now_s + self._ban_s
            self._directory.notice(BadPeer(self._download.name, user_id, why, self._ban_s))
            if link is not None and self._download.is_open_on(link):
                self._asked_until_s[link.link_id] = now_s + _ANSWER_S
                self._pool.send(link.worker, orders.SendMismatch(link.link_id, self._download.file_id, piece))
        for each in self._links:
            if each.peer.user_id == user_id and each.link_id not in self._asked_until_s:
                self._pool.send(each.worker, orders.EndLink(each.link_id, why))

    def rereads(self, link: PeerLink) -> None:
        """The server reads its copy again: because we told it, or by itself."""
        if self._asked_until_s.pop(link.link_id, None) is None:
            return
        user_id = link.peer.user_id
        if self._download.peer_book.pardon(user_id):
            self._directory.notice(PeerPardoned(self._download.name, user_id))

    def look(self, now_s: float) -> None:
        """Wait no longer for those that stand by what they sent. To be called every second."""
        for link_id in [each for each, until_s in self._asked_until_s.items() if until_s < now_s]:
            del self._asked_until_s[link_id]
            link, file_id = self._links.find(link_id), self._download.file_id
            if link is not None and file_id in link.files:
                link.files.discard(file_id)
                self._pool.send(link.worker, orders.CloseChannel(link_id, file_id))
