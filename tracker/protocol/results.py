"""What a tracker answers to a request, as typed messages. Pure.

There is one result for each kind of request, or `Refused`. Invariant: a result holds only what its reader may see.

Not here: what is asked (requests), what a tracker says without being asked (events).
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
    IdOrNone,
    Message,
    Root,
    Seq,
    TrustedKey,
)


class Done(Message, frozen=True, tag="done"):
    """The request was carried out. `group_id` and `user_id`: the group and the account that it was about, as their
    makers spelled them, if the request names one that was there before.
    """

    group_id: IdOrNone = ""
    user_id: IdOrNone = ""


class Alive(Message, frozen=True, tag="alive"):
    """The tracker is alive too. `now_s` is its clock, by which tickets and certificates begin and end."""

    now_s: float


class Refused(Message, frozen=True, tag="refused"):
    """The request was not carried out. `message` is a sentence for the person who asked."""

    code: ErrorCode
    message: str


class LoggedIn(Message, frozen=True, tag="logged_in"):
    """`ticket_keys`: as in the event TicketKeys, for checking the tickets of others."""

    user_id: Id
    certificate_pem: bytes
    expires_at_s: float
    ticket_keys: dict[str, TrustedKey]


class Left(Message, frozen=True, tag="left"):
    """`new_owner`: if the caller owned the group, its next owner. `is_removed`: the last member left, and the group is
    gone.
    """

    new_owner: str | None
    is_removed: bool


class Requests(Message, frozen=True, tag="requests"):
    user_ids: list[Id]
    group_id: Id


class Invited(Message, frozen=True, tag="invited"):
    expires_at_s: float


class AuditEntry(Message, frozen=True):
    """`subject` is the account it was done to, "" if there is none; `host` is the address the request came from."""

    at_s: float
    actor: Id
    action: AuditAction
    subject: str
    host: str


class Audit(Message, frozen=True, tag="audit"):
    """Oldest first."""

    entries: list[AuditEntry]
    group_id: Id


class GroupEntry(Message, frozen=True):
    group_id: Id
    owner: Id
    member_count: int
    standing: Literal["owner", "member", "requested", "none"]
    is_open: bool = False


class Groups(Message, frozen=True, tag="groups"):
    groups: list[GroupEntry]


class FileEntry(Message, frozen=True):
    """`sharers_online`: people who have all of it. `partial_online`: people who have a part of it and serve that.

    People who wait without a piece are in neither.
    """

    name: FileName
    size_bytes: int
    root: Root
    publisher: Id
    sharers_online: int
    partial_online: int = 0


class Files(Message, frozen=True, tag="files"):
    files: list[FileEntry]
    group_id: Id


class Withdrawn(Message, frozen=True, tag="withdrawn"):
    """If the file stays listed, `still_shared_by` names some of those who share it (the caller too, if another client
    of theirs does), or `may_withdraw` names those who could withdraw it, if the caller cannot.
    """

    is_removed: bool
    still_shared_by: Annotated[list[Id], Meta(max_length=HOLDERS_NAMED_MAX)] = field(default_factory=list)
    may_withdraw: Annotated[list[Id], Meta(max_length=2)] = field(default_factory=list)


class Announced(Message, frozen=True, tag="announced"):
    """`unknown`: shares that the tracker does not take, because the file or the membership is gone."""

    unknown: list[Share]


class Peers(Message, frozen=True, tag="peers"):
    peers: list[Peer]


class Ticket(Message, frozen=True, tag="ticket"):
    """`group_id`: in the spelling that the ticket has."""

    ticket: str
    expires_at_s: float
    epoch: int
    is_open: bool
    group_id: Id


Result = (
    Done
    | Alive
    | Refused
    | LoggedIn
    | Left
    | Invited
    | Audit
    | Requests
    | Groups
    | Files
    | Published
    | Manifest
    | Page
    | Withdrawn
    | Announced
    | Peers
    | Ticket
)


class Reply(Message, frozen=True, tag="reply"):
    seq: Seq
    result: Result


FromTracker = Welcome | Reply | Event | Bulletin
