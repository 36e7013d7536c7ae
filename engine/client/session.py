"""The session of this client with its trackers: login and logout, requests, tickets, announcements.

It wraps the tracker client. Errors of that become errors of the engine; tickets are kept, and renewed before they end;
announcements that come up together travel together. It also pins the authority: the first one that is seen is kept,
unless tracker_info.txt names a fingerprint, and another one is refused later.

Not here: what is shared and fetched (shares, downloads), bytes.
"""

import asyncio
import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from engine.client.events import Event, TrackerTrusted
from engine.client.spellings import is_same_group
from engine.coordinator.directory import GroupTicket
from engine.coordinator.download.peer_answers import PeerReport
from engine.coordinator.peer_links import PeerAddress
from engine.errors import LocalError, RefusedByTracker, ShoalError, TrackerUnavailable
from engine.ipc import orders
from tracker.client.asking import find_authority
from tracker.client.client import TrackerClient
from tracker.client.delegate import TrackerDelegate
from tracker.client.errors import NoTracker, TrackerError, TrackerRefused, UntrustedTracker
from tracker.client.identity import Identity
from tracker.protocol import events as protocol_events
from tracker.protocol import manifests, requests, results
from tracker.protocol.addresses import TrackerAddress, authority_in, fingerprint_of

_FETCH_AUTHORITY_TIMEOUT_S = 5.0
_PIN_NAME = "authority.pem"

Answer = TypeVar("Answer", bound=results.Result)


class TrackerSession:
    """It connects at the first request, and again when a connection is lost."""

    def __init__(
        self,
        addresses: list[TrackerAddress],
        state_folder: Path,
        peers_wanted: int,
        listener: TrackerDelegate,
        tell: Callable[[Event], None],
    ) -> None:
        self._addresses = addresses
        self._pin = state_folder / _PIN_NAME
        self._peers_wanted = peers_wanted
        self._listener = listener
        self._tell = tell
        self._client: TrackerClient | None = None
        self._authority_pem = b""
        self._tickets: dict[str, results.Ticket] = {}
        self._spellings: dict[str, str] = {}
        self._ticket_taken_at_s: dict[str, float] = {}
        self._own_thumbprint = b""
        self._changes: dict[tuple[str, bytes], tuple[requests.Share, bool]] = {}
        self._announcing = asyncio.Lock()

    @property
    def user_id(self) -> str | None:
        """None while nobody is logged in."""
        identity = self._client.identity if self._client is not None else None
        return identity.user_id if identity is not None else None

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    # ------------------------------------------------------------ in and out

    async def login(self, user_id: str, password: str) -> orders.Configure:
        """Log in with a fresh key. Returns the identity for the workers. Raises ShoalError."""
        client = await self._connected()
        key = Ed25519PrivateKey.generate()
        with _translated(self._pin):
            await client.login(user_id, password, key)
        assert client.identity is not None
        self._own_thumbprint = hashlib.sha256(key.public_key().public_bytes_raw()).digest()
        return self.configuration(client.identity)

    async def logout(self) -> None:
        self._tickets.clear()
        self._spellings.clear()
        if self._client is not None:
            await self._client.logout()

    def configuration(self, identity: Identity) -> orders.Configure:
        """An identity in the form that workers take."""
        key_pem = identity.private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        keys: dict[str, tuple[bytes, float]] = {**identity.ticket_keys}
        return orders.Configure(identity.certificate_pem, key_pem, self._authority_pem, keys)

    # ------------------------------------------------------------ asking

    async def call(self, request: requests.Request, answer_type: type[Answer]) -> Answer:
        """The tracker's answer; raises RefusedByTracker, TrackerUnavailable."""
        client = await self._connected()
        with _translated(self._pin):
            answer = await client.call(request)
        if not isinstance(answer, answer_type):
            raise TrackerUnavailable(f"the tracker answered {type(answer).__name__}; it is of another version")
        return answer

    async def revoke_others(self, request: requests.ChangePassword | requests.RevokeSessions) -> None:
        """End every other session of the account; raises like `call`."""
        client = await self._connected()
        with _translated(self._pin):
            await client.revoke_others(request)

    async def fetch_manifest(self, group_id: str, name: str) -> tuple[manifests.Manifest, list[PeerAddress]]:
        """The manifest as the tracker sent it, unchecked, and the first peers."""
        request = manifests.FetchManifest(group_id, name, self._peers_wanted)
        answer = await self.call(request, manifests.Manifest)
        return answer, self._others(answer.peers)

    async def find_peers(self, group_id: str, root: bytes, report: PeerReport) -> list[PeerAddress]:
        """`report`: which of the peers named before served, and which failed."""
        failed, served = list(report.failed), list(report.served)
        request = requests.FindPeers(group_id, root, self._peers_wanted, failed, served)
        answer = await self.call(request, results.Peers)
        return self._others(answer.peers)

    def _others(self, peers: list[protocol_events.Peer]) -> list[PeerAddress]:
        return [peer_address(peer) for peer in peers if peer.thumbprint != self._own_thumbprint]

    async def ticket_for(self, group_id: str, *, is_stale: bool = False) -> GroupTicket:
        """A ticket with at least half of its life left. `is_stale`: a peer refused the one that is kept."""
        kept, now_s = self._tickets.get(self._spellings.get(group_id, group_id)), time.time()
        if kept is not None and not is_stale:
            life_s = kept.expires_at_s - self._ticket_taken_at_s[kept.group_id]
            if kept.expires_at_s - now_s > life_s / 2:
                return GroupTicket(kept.ticket, kept.is_open)
        fresh = await self.call(requests.GetTicket(group_id), results.Ticket)
        if not is_same_group(group_id, fresh.group_id):
            raise TrackerUnavailable("the tracker answered with the ticket of another group; it is at fault")
        self._spellings[group_id] = fresh.group_id
        self._tickets[fresh.group_id], self._ticket_taken_at_s[fresh.group_id] = fresh, now_s
        return GroupTicket(fresh.ticket, fresh.is_open)

    async def spelling_of(self, group_id: str) -> str:
        """The id of the group as its maker spelled it. The tracker sends it with a ticket."""
        await self.ticket_for(group_id)
        return self._spellings[group_id]

    def forget_ticket(self, group_id: str) -> None:
        """The group's epoch was raised: the next ticket will be of the new one."""
        self._tickets.pop(group_id, None)
        self._spellings = {typed: known for typed, known in self._spellings.items() if known != group_id}

    # ------------------------------------------------------------ announcing

    async def announce_all(self, snapshot: requests.Announce) -> list[requests.Share]:
        """Tell every connected tracker; the others are told when they are back. Returns the shares that one does not
        accept.
        """
        return await self._announce(snapshot)

    async def announce(self, share: requests.Share, *, is_removed: bool = False) -> list[requests.Share]:
        """The same for one share that began or ended.

        Changes that come up while an announcement is on its way travel together in the next one, so a thousand small
        files cost a few dozen announcements. One of the callers gets the shares that are not accepted.
        """
        self._changes[share.group_id, share.root] = (share, is_removed)
        async with self._announcing:
            changes, self._changes = self._changes, {}
            if not changes:
                return []
            added = [change for change, is_gone in changes.values() if not is_gone]
            removed = [change for change, is_gone in changes.values() if is_gone]
            return await self._announce(requests.AnnounceChange(added, removed))

    async def _announce(self, message: requests.Announce | requests.AnnounceChange) -> list[requests.Share]:
        if self._client is None:
            return []
        answers = await self._client.announce_all(message)
        return [share for answer in answers for share in answer.unknown]

    # ------------------------------------------------------------ the authority

    async def _connected(self) -> TrackerClient:
        if self._client is None:
            self._authority_pem = await self._trusted_authority()
            self._client = TrackerClient(self._addresses, self._authority_pem, self._listener)
            await self._client.start()
        return self._client

    async def _trusted_authority(self) -> bytes:
        """The pinned authority, or else the first one seen, if it is the one that tracker_info.txt names."""
        named = {address.fingerprint for address in self._addresses if address.fingerprint}
        if len(named) > 1:
            raise LocalError("tracker_info.txt names several fingerprints; its trackers share one", "bad_trackers")
        with contextlib.suppress(FileNotFoundError):
            pinned = _authority_in(self._pin)
            if not named or fingerprint_of(pinned) in named:
                return pinned
        with _translated(self._pin):
            pem = await find_authority(self._addresses, _FETCH_AUTHORITY_TIMEOUT_S)
        seen = fingerprint_of(pem)
        if named and seen not in named:
            raise TrackerUnavailable(
                f"the tracker shows the fingerprint {seen}, tracker_info.txt names {named.pop()}; somebody may be in "
                "between, or the line is out of date: ask whoever runs the tracker",
                "tracker_untrusted",
            )
        self._keep_pin(pem)
        if not named:
            self._tell(TrackerTrusted(seen))
        return pem

    def _keep_pin(self, pem: bytes) -> None:
        """The file is replaced as a whole: half a certificate would shut this client out."""
        new = self._pin.with_name(f"{_PIN_NAME}.new")
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, self._pin)


def _authority_in(pin: Path) -> bytes:
    """Raises FileNotFoundError, and LocalError if it is damaged."""
    try:
        return authority_in(pin.read_bytes())
    except ValueError as error:
        raise LocalError(
            f"the kept fingerprint of the tracker, {pin}, is damaged; remove it, and compare the fingerprint that is "
            "shown then with the one the tracker printed at its start",
            "bad_pin",
        ) from error


def peer_address(peer: protocol_events.Peer) -> PeerAddress:
    return PeerAddress(peer.user_id, peer.host, peer.port, peer.thumbprint)


@contextlib.contextmanager
def _translated(pin: Path) -> Iterator[None]:
    """The tracker client's errors as the engine's."""
    try:
        yield
    except TrackerRefused as error:
        raise RefusedByTracker(error.message, error.code) from error
    except UntrustedTracker as error:
        raise TrackerUnavailable(f"{error} (it is kept in {pin})", "tracker_untrusted") from error
    except NoTracker as error:
        raise TrackerUnavailable(str(error)) from error
    except TrackerError as error:
        raise ShoalError(str(error), "tracker") from error
