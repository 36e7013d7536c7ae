"""Stand-ins for the parts around a transfer: a membership authority in memory and a directory of who serves where."""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.coordinator.directory import GroupTicket
from engine.coordinator.download.peer_answers import PeerReport
from engine.coordinator.peer_links import PeerAddress
from engine.ipc import orders
from engine.reports import Notice
from tracker.protocol import authority, tickets


@dataclass
class Club:
    """An authority and a ticket key, as a tracker would hold them."""

    key_pem: bytes = b""
    pem: bytes = b""
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def __post_init__(self) -> None:
        self.key_pem, self.pem = authority.make_authority(time.time())
        self._authority = authority.load_authority(self.key_pem, self.pem)

    @property
    def ticket_keys(self) -> dict[str, tuple[bytes, float]]:
        return {"k1": (self.signing_key.public_key().public_bytes_raw(), math.inf)}

    def member(self, user_id: str) -> "Member":
        key = Ed25519PrivateKey.generate()
        raw = key.public_key().public_bytes_raw()
        certificate = authority.issue_member(self._authority, user_id, raw, time.time(), 3600.0)
        identity = orders.Configure(certificate, authority.private_pem(key), self.pem, self.ticket_keys)
        return Member(self, user_id, identity, hashlib.sha256(raw).digest())


@dataclass
class Member:
    """One client of one account."""

    club: Club
    user_id: str
    identity: orders.Configure
    thumbprint: bytes

    def ticket(
        self,
        group_id: str,
        *,
        epoch: int = 1,
        life_s: float = 600.0,
        now_s: float | None = None,
        is_open: bool = False,
    ) -> str:
        return tickets.sign(
            self.club.signing_key, "k1", user_id=self.user_id, group_id=group_id, epoch=epoch,
            thumbprint=self.thumbprint, now_s=time.time() if now_s is None else now_s, life_s=life_s, is_open=is_open,
        )  # fmt: skip

    def at(self, port: int) -> PeerAddress:
        return PeerAddress(self.user_id, "127.0.0.1", port, self.thumbprint)


class FakePool:
    """Workers that carry nothing out; keeps the orders they were given. An order to all is kept once, for None."""

    def __init__(self, workers: int = 2) -> None:
        self.worker_numbers = list(range(workers))
        self.orders: list[tuple[int | None, orders.AnyOrder]] = []
        self.is_settled = True

    def send(self, worker: int, order: orders.AnyOrder, descriptors: Sequence[int] = ()) -> None:
        assert len(descriptors) == order.descriptor_count
        self.orders.append((worker, order))

    def send_all(self, order: orders.AnyOrder, descriptors: Sequence[int] = ()) -> None:
        assert len(descriptors) == order.descriptor_count
        self.orders.append((None, order))

    async def fence(self, timeout_s: float) -> bool:
        return self.is_settled

    def kinds(self, *kinds: type[orders.Order]) -> list[orders.AnyOrder]:
        """The orders of these kinds, in their order."""
        return [order for _, order in self.orders if isinstance(order, kinds)]


class FakeDirectory:
    """Knows the peers that a test gave it; keeps the notices."""

    def __init__(self, member: Member) -> None:
        self.member = member
        self.peers: list[PeerAddress] = []
        self.reports: list[PeerReport] = []
        self.notices: list[tuple[str, str]] = []
        self.broken: list[tuple[int, int, str]] = []
        self.checked: list[tuple[int, int]] = []
        self.changed: list[tuple[str, bytes]] = []
        self.is_open = False

    async def find_peers(self, group_id: str, root: bytes, report: PeerReport) -> list[PeerAddress]:
        self.reports.append(report)
        return list(self.peers)

    async def ticket_for(self, group_id: str, *, is_stale: bool = False) -> GroupTicket:
        return GroupTicket(self.member.ticket(group_id, is_open=self.is_open), self.is_open)

    def share_broken(self, file_id: int, error_number: int, reason: str) -> None:
        self.broken.append((file_id, error_number, reason))

    async def check_share(self, file_id: int, piece: int) -> None:
        self.checked.append((file_id, piece))

    def holding_changed(self, group_id: str, root: bytes) -> None:
        self.changed.append((group_id, root))

    def notice(self, notice: Notice) -> None:
        self.notices.append((notice.code, str(notice)))
