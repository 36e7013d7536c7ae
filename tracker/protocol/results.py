"""What a tracker answers to a request, as typed messages. Pure.

One result for each kind of request, or `Refused`. A result lists what its reader is allowed to see and nothing else.

Not here: what is asked (requests), what a tracker says unasked (events).
"""

from typing import Annotated, Literal

from msgspec import Meta, field

from tracker.protocol.events import (
    Bulletin,
    Event,
    Peer,
    Welcome,
)
from tracker.protocol.manifests import (
    Manifest,
    Page,
    Published,
)
from tracker.protocol.requests import Share
from tracker.protocol.types import (
    HOLDERS_NAMED_MAX,
    AuditAction,
    ErrorCode,
    FileName,
    Id,
    Message,
    Root,
    Seq,
    TrustedKey,
)


class Done(Message, frozen=True, tag="done"):
    """It happened; there is nothing more to say."""


class Alive(Message, frozen=True, tag="alive"):
    """So is the tracker; and what its clock says, by which tickets and certificates begin and end."""

    now_s: float


class Refused(Message, frozen=True, tag="refused"):
    """It did not happen. `message` is a sentence for the person who asked."""

    code: ErrorCode
    message: str


class LoggedIn(Message, frozen=True, tag="logged_in"):
    """`ticket_keys`: as of TicketKeys, for checking the tickets of others."""

    user_id: Id
    certificate_pem: bytes
    expires_at_s: float
    ticket_keys: dict[str, TrustedKey]


class Left(Message, frozen=True, tag="left"):
    """`new_owner` when the group passed on with this leave; `is_removed` when its last member left."""

    new_owner: str | None
    is_removed: bool


class Requests(Message, frozen=True, tag="requests"):
    user_ids: list[Id]


class Invited(Message, frozen=True, tag="invited"):
    expires_at_s: float


class AuditEntry(Message, frozen=True):
    """`subject` is whom it was done to, "" if nobody else; `host` the address it was asked from."""

    at_s: float
    actor: Id
    action: AuditAction
    subject: str
    host: str


class Audit(Message, frozen=True, tag="audit"):
    """Oldest first."""

    entries: list[AuditEntry]


class GroupEntry(Message, frozen=True):
    group_id: Id
    owner: Id
    member_count: int
    standing: Literal["owner", "member", "requested", "none"]
    is_open: bool = False


class Groups(Message, frozen=True, tag="groups"):
    groups: list[GroupEntry]


class FileEntry(Message, frozen=True):
    """`sharers_online`: people who have all of it. `partial_online`: those who have a part of it and serve that.

    Somebody who waits without a piece is in neither.
    """

    name: FileName
    size_bytes: int
    root: Root
    publisher: Id
    sharers_online: int
    partial_online: int = 0


class Files(Message, frozen=True, tag="files"):
    files: list[FileEntry]


class Withdrawn(Message, frozen=True, tag="withdrawn"):
    """If it stays: `still_shared_by` names some of those who share it, the caller too if another client of theirs does;
    `may_withdraw` names who could withdraw it, if the caller cannot.
    """

    is_removed: bool
    still_shared_by: Annotated[list[Id], Meta(max_length=HOLDERS_NAMED_MAX)] = field(default_factory=list)
    may_withdraw: Annotated[list[Id], Meta(max_length=2)] = field(default_factory=list)


class Announced(Message, frozen=True, tag="announced"):
    """`unknown`: shares the tracker does not take, because the file or the membership is gone."""

    unknown: list[Share]


class Peers(Message, frozen=True, tag="peers"):
    peers: list[Peer]


class Ticket(Message, frozen=True, tag="ticket"):
    """`group_id`: as the ticket names it."""

    ticket: str
    expires_at_s: float
    epoch: int
    is_open: bool
    group_id: Id


Result = (
    Done | Alive | Refused | LoggedIn | Left | Invited | Audit | Requests | Groups | Files
    | Published | Manifest | Page | Withdrawn | Announced | Peers | Ticket
)


class Reply(Message, frozen=True, tag="reply"):
    seq: Seq
    result: Result


FromTracker = Welcome | Reply | Event | Bulletin
