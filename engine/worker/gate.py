"""Which peer may have which file. The serving worker decides it by itself, without asking a tracker.

A ticket proves membership: the tracker signed it, it names account, group and epoch, is bound to the key of the
member's certificate, and ends within minutes. Knowing the root of a file proves nothing, so the file must also be one
that this client shares in that very group. Whether the files of a group may cross open links is the choice of its
owner, and stands in the ticket.

Invariant (I4): nothing is admitted whose ticket is not valid now. When a member is removed, its tickets open nothing
any more, and the others need tickets of the new epoch.
Not here: what is sent on a link after that (net.serve_link, net.piece_sender).
"""

import time

from engine.ipc.ticket_check import CheckTicket, Keys, TicketClaims
from engine.net.admission import Grant, Refusal
from engine.net.tls import PeerIdentity
from engine.wire.messages import Open
from engine.worker.local_file import LocalFile

_NOT_SHARED = ("not_shared", "this file is not shared here")
_CHECKED_MAX = 4096
"""How many tickets are remembered whose signature was checked; each has a kilobyte or less."""


class TicketGate:
    """The files that one worker serves, and the rules for having them."""

    def __init__(self, check_ticket: CheckTicket) -> None:
        self._check_ticket = check_ticket
        self._keys: Keys = {}
        self._epochs: dict[str, int] = {}
        self._files: dict[tuple[str, bytes], list[LocalFile]] = {}
        self._suspended: dict[tuple[str, bytes], tuple[str, str]] = {}
        self._checked: dict[str, TicketClaims] = {}

    def trust(self, keys: Keys) -> None:
        """From now on these keys alone may have signed a ticket."""
        self._keys = keys
        self._checked.clear()

    def raise_epoch(self, group_id: str, epoch: int) -> None:
        self._epochs[group_id] = max(epoch, self._epochs.get(group_id, 0))

    def serve(self, file: LocalFile) -> None:
        self._files.setdefault((file.group_id, file.root), []).append(file)
        self.release(file.group_id, file.root)

    def stop_serving(self, file: LocalFile) -> None:
        """End this share. Another share of the same content in the group goes on."""
        same = self._files.get((file.group_id, file.root), [])
        if file in same:
            same.remove(file)
        if not same:
            self._files.pop((file.group_id, file.root), None)

    def suspend(self, group_id: str, root: bytes, code: str, reason: str) -> None:
        """Refuse this content with this code and reason until it is released, or a file with it is served again."""
        self._suspended[group_id, root] = code, reason

    def release(self, group_id: str, root: bytes) -> None:
        self._suspended.pop((group_id, root), None)

    def judge(self, peer: PeerIdentity, group_id: str, ticket: str, *, is_open: bool) -> Grant:
        """What this ticket gives this peer in this group; raises Refusal."""
        claims = self._claims_of(ticket)
        if claims.group_id != group_id:
            raise Refusal("bad_ticket", "the ticket is for another group")
        if claims.user_id != peer.user_id or claims.thumbprint != peer.thumbprint:
            raise Refusal("bad_ticket", "the ticket is somebody else's")
        if is_open and not claims.is_open:
            raise Refusal("sealed_group", "the files of this group are served over sealed links only")
        if claims.epoch < self._epochs.get(group_id, 0):
            raise Refusal("old_ticket", "the ticket is from before the group's members changed")
        self.raise_epoch(group_id, claims.epoch)
        return Grant(claims.epoch, claims.expires_at_s)

    def admit(self, peer: PeerIdentity, message: Open, *, is_open: bool) -> tuple[LocalFile, Grant]:
        """The file, and what the ticket gives; raises Refusal. `is_open`: the link is not encrypted."""
        grant = self.judge(peer, message.group_id, message.ticket, is_open=is_open)
        files = self._files.get((message.group_id, message.root))
        if not files:
            raise Refusal(*self._suspended.get((message.group_id, message.root), _NOT_SHARED))
        return files[0], grant

    def _claims_of(self, ticket: str) -> TicketClaims:
        """What a ticket says; raises Refusal. It comes with every file of a group, so its signature is checked once."""
        now_s = time.time()
        known = self._checked.get(ticket)
        if known is not None and known.expires_at_s > now_s:
            return known
        try:
            claims = self._check_ticket(ticket, self._keys, now_s)
        except ValueError as error:
            raise Refusal("bad_ticket", f"the ticket does not hold: {error}") from error
        if len(self._checked) >= _CHECKED_MAX:
            self._checked.clear()
        self._checked[ticket] = claims
        return claims
