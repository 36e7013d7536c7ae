"""What the client tells the program that drives it: results of commands, states of downloads and shares, and events.

Plain and immutable. Not here: errors (engine.errors), the events of each part (engine.client.events).
"""

from typing import Literal

from msgspec import Struct

DownloadState = Literal[
    "following",
    "checking",
    "copying",
    "waiting",
    "downloading",
    "no_space",
    "finishing",
    "complete",
    "paused",
    "stuck",
    "failed",
    "cancelled",
]


ShareState = Literal["served", "rereading", "missing", "unreadable"]


class DroppedShare(Struct, frozen=True):
    """A share that ended, and why."""

    group_id: str
    name: str
    path: str
    reason: str


class ShareStatus(Struct, frozen=True):
    """One share at one moment. `reason`: why it is not served. `checked_bytes` of it were read again, while it is
    "rereading".
    """

    group_id: str
    name: str
    path: str
    size_bytes: int
    state: ShareState
    reason: str
    checked_bytes: int


class LoginReport(Struct, frozen=True):
    """`shares_waiting`: what is still shared but not served yet, since it is away or being read again."""

    user_id: str
    shares_resumed: int
    shares_dropped: list[DroppedShare]
    downloads_resumed: int
    shares_waiting: list[ShareStatus] = []


class MemberReport(Struct, frozen=True):
    """Whom a change of a group's members was about. Both ids are spelled as their makers did."""

    group_id: str
    user_id: str


class LeaveReport(Struct, frozen=True):
    """`new_owner`: to whom the group passed, if the leaver owned it. `is_removed`: the last member left."""

    group_id: str
    new_owner: str | None
    is_removed: bool


class InviteReport(Struct, frozen=True):
    """`code` is shown once and kept nowhere."""

    code: str
    expires_at_s: float


class UploadReport(Struct, frozen=True):
    """`was_known`: the group already had this content under this name; this client became one more sharer.
    `has_replaced`: the name stood for another content, which nobody else shared any more.

    `hashed_bytes` were read for that, none if its hashes were known; `rate_bytes_per_s` is theirs over all the time.
    """

    group_id: str
    name: str
    path: str
    size_bytes: int
    root: str
    was_known: bool
    seconds: float
    has_replaced: bool = False
    hashed_bytes: int = 0
    rate_bytes_per_s: float = 0.0


class StopReport(Struct, frozen=True):
    """`is_removed`: nobody else online has any of the file and it was this account's to withdraw, so it left the
    group's list. `is_pending`: no tracker could be told; it will be, as soon as one answers.

    `was_shared`: by this client; without that it was only withdrawn. `still_shared_by`: some of those because of whom
    it stays; `is_shared_elsewhere`: another client of this account is among them.
    """

    group_id: str
    name: str
    is_removed: bool
    is_pending: bool = False
    was_shared: bool = True
    still_shared_by: list[str] = []
    is_shared_elsewhere: bool = False


class UnreachedPeer(Struct, frozen=True):
    """A peer that should have a file and gives nothing of it. `cause`: one word, see
    coordinator.download.peer_book.

    `tries` in a row came to nothing, since `since_s` ago.
    """

    user_id: str
    host: str
    port: int
    tries: int
    cause: str
    since_s: float


class DownloadStatus(Struct, frozen=True):
    """One download at one moment.

    `fetched_bytes` came over the network in this run, `reused_bytes` were on this disk when it began or were copied on
    it; `checked_bytes` of `check_bytes` that were there already were read and compared, or copied. `copied_from`: the
    file of this machine that the content is taken from, or the download of it that is waited for. `bytes_by_peer` says
    who sent what was fetched, `wasted_bytes` what came and was not kept.

    `seconds` is the time of transfer, without that of checking and copying and without `waiting_s`, in which no peer
    could give anything or there was no space. `rate_bytes_per_s` is of the last seconds, and the mean of the
    whole transfer when it is over.

    `why_waiting` says why nothing comes, `waiting_for` for which peers; None and empty while it moves.

    "stuck": it does not run, `error` says why, and it is the user's turn; "paused" with an error: it is tried again.
    """

    group_id: str
    name: str
    path: str
    state: DownloadState
    size_bytes: int
    verified_bytes: int
    rate_bytes_per_s: float
    peers_connected: int
    bytes_by_peer: dict[str, int]
    seconds: float
    error: str | None = None
    error_code: str | None = None
    checked_bytes: int = 0
    check_bytes: int = 0
    wasted_bytes: int = 0
    copied_from: str | None = None
    fetched_bytes: int = 0
    reused_bytes: int = 0
    waiting_s: float = 0.0
    why_waiting: str | None = None
    waiting_for: tuple[UnreachedPeer, ...] = ()


class Event(Struct, frozen=True):
    """Something that happened by itself. `code` is stable; `str()` is a sentence."""

    @property
    def code(self) -> str:
        raise NotImplementedError


class Notice(Event, frozen=True):
    """An event that the user should know of."""
