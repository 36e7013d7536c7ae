"""Who may have which file, decided by the serving worker itself, offline.

A ticket proves membership: it is signed by the tracker, names account, group and epoch, is bound to the key of the
member's certificate, and ends within minutes. A content hash proves nothing about permission, so the file must also
be one that this client shares in that very group.

The owner of a group decides whether its files may cross open links; the ticket says it, so the tracker's word is
signed.

Invariant (I4): nothing is admitted whose ticket is not valid now. When membership shrinks, the removed member is out at
once and older tickets of the others open nothing new.
"""

import time

from engine.ipc.ticket_check import CheckTicket, Keys, TicketClaims
from engine.net.admission import Grant, Refusal
from engine.net.tls import PeerIdentity
from engine.wire.messages import Open
from engine.worker.local_file import LocalFile

_NOT_SHARED = ("not_shared", "this file is not shared here")
_CHECKED_MAX = 4096
"""Tickets whose signature need not be checked again; each is a kilobyte or less."""


class TicketGate:
    """The files one worker serves, and the rules for asking for them."""

    def __init__(self, check_ticket: CheckTicket) -> None:
        self._check_ticket = check_ticket
        self._keys: Keys = {}
        self._epochs: dict[str, int] = {}
        self._files: dict[tuple[str, bytes], list[LocalFile]] = {}
        self._suspended: dict[tuple[str, bytes], tuple[str, str]] = {}
        self._checked: dict[str, TicketClaims] = {}

    def trust(self, keys: Keys) -> None:
        """These alone from now on."""
        self._keys = keys
        self._checked.clear()

    def raise_epoch(self, group_id: str, epoch: int) -> None:
        self._epochs[group_id] = max(epoch, self._epochs.get(group_id, 0))

    def serve(self, file: LocalFile) -> None:
        self._files.setdefault((file.group_id, file.root), []).append(file)
        self.release(file.group_id, file.root)

    def stop_serving(self, file: LocalFile) -> None:
        """The same content may be shared under another name in the group; that goes on."""
        same = self._files.get((file.group_id, file.root), [])
        if file in same:
            same.remove(file)
        if not same:
            self._files.pop((file.group_id, file.root), None)

    def suspend(self, group_id: str, root: bytes, code: str, reason: str) -> None:
        """Whoever asks for it is told so, until a file with this content is served again."""
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
        """A signature is checked once: the same ticket comes with every file of a group. Raises Refusal."""
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
