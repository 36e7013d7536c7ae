"""What a client asks of a tracker, as typed messages. Pure.

A connection is TLS 1.3 from its first byte, and carries frames (framing). The tracker speaks first (`Welcome`). After
that a client sends `Call`s and gets one `Reply` for each, matched by `seq`; events come in between.

Invariant: no value reaches the service unless it fits its type and the bounds written here. A request that changes
something durable carries a `request_id`; the tracker keeps the outcome beside the change, so a retry never runs it
twice.

Requests may name accounts and groups in any capital letters, and files in any Unicode normal form. Results and events
have the spelling of the maker (names).

Not here: the answers (results), what a request does (service), who may make it (rules.permissions).
"""

from typing import Annotated

from msgspec import Meta, field

from tracker.protocol.manifests import (
    FetchManifest,
    FetchPage,
    Publish,
    PutPage,
)
from tracker.protocol.types import (
    PEERS_REPORTED_MAX,
    PEERS_WANTED_MAX,
    SHARES_PER_ANNOUNCE_MAX,
    Digest,
    FileName,
    Id,
    InviteCode,
    Message,
    Password,
    Port,
    PublicKey,
    RequestId,
    Root,
    Seq,
    Signature,
    Thumbprint,
)

VERSION = 2


ReportedPeers = Annotated[list[Thumbprint], Meta(max_length=PEERS_REPORTED_MAX)]


class CreateUser(Message, frozen=True, tag="create_user"):
    """`invite`: the 16 bytes of an invitation where the tracker asks for one, else empty."""

    user_id: Id
    password: Password
    invite: InviteCode = b""


class Login(Message, frozen=True, tag="login"):
    """`proof` signs `login_challenge(nonce, user_id)` with the key whose public half is `public_key` (raw Ed25519).
    `user_id` as it was typed.
    """

    user_id: Id
    password: Password
    public_key: PublicKey
    proof: Signature


class Resume(Message, frozen=True, tag="resume"):
    """Begins a session on another tracker, or after a lost connection, with the certificate and a proof of its key in
    place of the password.
    """

    certificate_pem: Annotated[bytes, Meta(max_length=8192)]
    proof: Signature


class Renew(Message, frozen=True, tag="renew"):
    """Asks for a fresh certificate for the session's key, before the old one ends."""


class Logout(Message, frozen=True, tag="logout"):
    pass


class ChangePassword(Message, frozen=True, tag="change_password"):
    """Ends every other session of the account too, since one may belong to a person who knew the old password."""

    old_password: Password
    new_password: Password


class RevokeSessions(Message, frozen=True, tag="revoke_sessions"):
    """Ends every session of the account except the asking one, on every tracker. Earlier certificates are void."""


class CreateInvite(Message, frozen=True, tag="create_invite"):
    """Lets one person make an account. `digest` is invite_digest of the code, which the tracker does not learn."""

    digest: Digest
    life_s: Annotated[float, Meta(ge=60.0, le=30 * 86400.0)]


class CreateGroup(Message, frozen=True, tag="create_group"):
    """`is_open`: its files may cross a trusted network unencrypted; members still prove who they are."""

    group_id: Id
    is_open: bool = False


class JoinGroup(Message, frozen=True, tag="join_group"):
    group_id: Id


class LeaveGroup(Message, frozen=True, tag="leave_group"):
    group_id: Id


class RemoveMember(Message, frozen=True, tag="remove_member"):
    group_id: Id
    user_id: Id


class TransferOwnership(Message, frozen=True, tag="transfer_ownership"):
    """Makes another member the owner. The caller stays a member."""

    group_id: Id
    user_id: Id


class FetchAudit(Message, frozen=True, tag="fetch_audit"):
    """For the group's owner: the latest entries of its audit log."""

    group_id: Id


class ListRequests(Message, frozen=True, tag="list_requests"):
    group_id: Id


class AcceptRequest(Message, frozen=True, tag="accept_request"):
    group_id: Id
    user_id: Id


class RejectRequest(Message, frozen=True, tag="reject_request"):
    group_id: Id
    user_id: Id


class ListGroups(Message, frozen=True, tag="list_groups"):
    pass


class ListFiles(Message, frozen=True, tag="list_files"):
    group_id: Id


class Withdraw(Message, frozen=True, tag="withdraw"):
    """The caller does not share this file any more, or never did. If the caller published the file or owns the group,
    and nobody else online has any of it, it is removed from the group's list.

    `root`: remove it only if the name still stands for this content. Empty: whatever it stands for.
    """

    group_id: Id
    name: FileName
    root: Annotated[bytes, Meta(max_length=32)] = b""


class Share(Message, frozen=True):
    """One file that this client serves. `is_complete` is false while it is still being fetched.

    `has_pieces`: whether the client has a piece yet. Without one it only waits.
    """

    group_id: Id
    root: Root
    is_complete: bool
    has_pieces: bool = True


class Announce(Message, frozen=True, tag="announce"):
    """All that this client serves; replaces its earlier announcements. `host` is believed only from the tracker's own
    machine.
    """

    host: Annotated[str, Meta(max_length=64)]
    port: Port
    shares: Annotated[list[Share], Meta(max_length=SHARES_PER_ANNOUNCE_MAX)]


class AnnounceChange(Message, frozen=True, tag="announce_change"):
    """What has changed since the last announcement. `removed` entries match by group and root, whatever their
    `is_complete`.
    """

    added: Annotated[list[Share], Meta(max_length=SHARES_PER_ANNOUNCE_MAX)]
    removed: Annotated[list[Share], Meta(max_length=SHARES_PER_ANNOUNCE_MAX)]


class Heartbeat(Message, frozen=True, tag="heartbeat"):
    """A sign of life, for all shares of this client. Answered with the time."""


class FindPeers(Message, frozen=True, tag="find_peers"):
    """`failed`: peers of this file, by thumbprint, that could not be reached or gave nothing; others are named instead.
    `served`: peers that did give something.
    """

    group_id: Id
    root: Root
    want: Annotated[int, Meta(ge=1, le=PEERS_WANTED_MAX)]
    failed: ReportedPeers = field(default_factory=list)
    served: ReportedPeers = field(default_factory=list)


class GetTicket(Message, frozen=True, tag="get_ticket"):
    """A membership ticket for one group, which serving peers check offline."""

    group_id: Id


Request = (
    CreateUser
    | Login
    | Resume
    | Renew
    | Logout
    | ChangePassword
    | RevokeSessions
    | CreateInvite
    | CreateGroup
    | JoinGroup
    | LeaveGroup
    | RemoveMember
    | TransferOwnership
    | FetchAudit
    | ListRequests
    | AcceptRequest
    | RejectRequest
    | ListGroups
    | ListFiles
    | Publish
    | PutPage
    | FetchManifest
    | FetchPage
    | Withdraw
    | Announce
    | AnnounceChange
    | Heartbeat
    | FindPeers
    | GetTicket
)


BEFORE_LOGIN: frozenset[type] = frozenset({CreateUser, Login, Resume})
"""What a connection may ask before it has a session."""


class Call(Message, frozen=True):
    """One request. `seq` matches the reply to it. `request_id` names the intent, and stays when it is retried."""

    seq: Seq
    request_id: RequestId
    request: Request


def login_challenge(nonce: bytes, user_id: str) -> bytes:
    """The bytes a login or a resume signs: bound to this connection, this purpose and this account."""
    return b"shoal login v1\0" + nonce + user_id.encode()
