"""What the client tells whoever drives it: plain, immutable results of commands, states of downloads, notices."""

from typing import Literal

from msgspec import Struct

DownloadState = Literal[
    "following", "checking", "copying", "waiting", "downloading", "no_space", "finishing",
    "complete", "paused", "stuck", "failed", "cancelled",
]


class DroppedShare(Struct, frozen=True):
    """A share that did not resume at login, and why."""

    group_id: str
    name: str
    path: str
    reason: str


class LoginReport(Struct, frozen=True):
    user_id: str
    shares_resumed: int
    shares_dropped: list[DroppedShare]
    downloads_resumed: int


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
    """`was_known`: the group already had this content under this name; this client became one more sharer."""

    group_id: str
    name: str
    path: str
    size_bytes: int
    root: str
    was_known: bool
    seconds: float


class StopReport(Struct, frozen=True):
    """`is_removed`: nobody online has the file any more and it was this account's, so it left the group's list."""

    group_id: str
    name: str
    is_removed: bool


class DownloadStatus(Struct, frozen=True):
    """One download at one moment. `bytes_by_peer` counts verified bytes only, `wasted_bytes` those that came and were
    not kept; `rate` is over the last seconds.

    `checked_bytes` of `check_bytes` that were on the disk already were read and compared, or copied. `copied_from`: the
    file of this machine that the content is taken from, or the download of it that is waited for.

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


class Notice(Struct, frozen=True):
    """Something that happened by itself and that the user should know. `code` is stable."""

    code: str
    message: str
