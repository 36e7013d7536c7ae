"""The links of one download while it is fetched: which it should have, the file opened on each, the ticket shown there.

A link belongs to the client (peer_links); a download opens its file on it, and closes it. Peers that the tracker names
come first; while they are few, hints of other peers are tried as well.

Not here: what is asked over a link (fetching), which peers are worth one (peer_book).
"""

import random
import time
from collections.abc import Iterable

from engine.coordinator.download.peer_book import PeerBook
from engine.coordinator.download.wanted_file import WantedFile
from engine.coordinator.peer_links import PeerAddress, PeerLink
from engine.coordinator.services import Services
from engine.ipc import orders
from engine.process.background_tasks import BackgroundTasks
from engine.wire.messages import GOSSIP_PEERS_MAX, Neighbour


class DownloadLinks:
    """Of one download. Nothing is dialled before there is a ticket to show."""

    def __init__(self, wanted: WantedFile, peer_book: PeerBook, services: Services) -> None:
        self._wanted, self._peer_book, self._services = wanted, peer_book, services
        self._ticket = ""
        self._is_open = False
        self._tasks = BackgroundTasks()

    def carrying(self) -> list[PeerLink]:
        """Those on which the file was opened, or is being opened."""
        return [link for link in self._services.links if self._wanted.file_id in link.files]

    # ------------------------------------------------------------ the ticket

    async def refresh_ticket(self, *, is_stale: bool = False) -> None:
        """Have a ticket that holds, and show it on every link. Without an answer of the trackers the old one stays."""
        with self._peer_book.noting_trouble():
            group_id = self._wanted.group_id
            ticket, self._is_open = await self._services.directory.ticket_for(group_id, is_stale=is_stale)
            if ticket == self._ticket:
                return
            self._ticket = ticket
            for link in self.carrying():
                if link.is_up:
                    self._services.pool.send(link.worker, orders.RenewTicket(link.link_id, group_id, ticket))

    def replace_ticket(self) -> None:
        """A peer refused the one that it was shown: ask for another, beside everything else."""
        self._tasks.start(self.refresh_ticket(is_stale=True))

    # ------------------------------------------------------------ the links

    def connect(self, missing_count: int) -> None:
        """Have the links that this download should have, and the file opened on each."""
        services, peer_book = self._services, self._peer_book
        workers = services.pool.worker_numbers
        if not self._ticket:
            return
        now_s = time.monotonic()
        peers = peer_book.usable(now_s)
        wanted = services.links.wanted(
            peers, workers, now_s, is_open=self._is_open, file_id=self._wanted.file_id, missing=missing_count
        )
        for peer, worker in wanted:
            self._link(peer, worker)
        if len(peers) < services.settings.links_sought and workers:
            known = peer_book.peers.keys() | {link.peer.thumbprint for link in services.links}
            for hint in peer_book.peer_exchange.next_to_try(known, peer_book.banned(now_s), now_s):
                self._link(hint, random.choice(workers), is_hint=True)

    def _link(self, peer: PeerAddress, worker: int, *, is_hint: bool = False) -> None:
        link, is_new = self._services.links.link_to(peer, worker, is_open=self._is_open, is_hint=is_hint)
        if is_new:
            order = orders.Dial(link.link_id, peer.host, peer.port, peer.thumbprint, link.is_open)
            self._services.pool.send(worker, order)
        if self._wanted.file_id not in link.files:
            if not is_hint:
                self._peer_book.answers.turned_to(peer.thumbprint, time.monotonic())
            link.files.add(self._wanted.file_id)
            self._peer_book.trying(link.peer, time.monotonic())
            if link.is_up:
                self.open_on(link)

    def open_on(self, link: PeerLink) -> None:
        """The link is up: ask for the file on it."""
        order = orders.OpenChannel(link.link_id, self._wanted.file_id, self._ticket)
        self._services.pool.send(link.worker, order)

    def was_closed(self, link: PeerLink) -> None:
        """The peer closed the file, or did not open it."""
        link.files.discard(self._wanted.file_id)

    def close(self, link: PeerLink) -> None:
        """Nothing more of the file over this link."""
        link.files.discard(self._wanted.file_id)
        self._services.pool.send(link.worker, orders.CloseChannel(link.link_id, self._wanted.file_id))

    def gossip(self, proven: Iterable[PeerAddress]) -> None:
        """Tell those who fetch this file from us from whom we fetch it."""
        peers = list({peer.thumbprint: peer for peer in proven}.values())
        # One more than a message holds, since no peer is told of itself.
        chosen = random.sample(peers, min(len(peers), GOSSIP_PEERS_MAX + 1))
        if chosen:
            named = tuple(Neighbour(each.user_id, each.host, each.port, each.thumbprint) for each in chosen)
            self._services.pool.send_all(orders.SpreadPeers(self._wanted.file_id, named))
