"""What a tracker says without being asked: its welcome, and events. Pure.

Not here: answers to requests (results).
"""

from typing import Annotated

from msgspec import Meta

from tracker.protocol.types import Id, Message, Nonce, Port, Root, Thumbprint, TrustedKey


class Peer(Message, frozen=True):
    """Where somebody serves a file. `thumbprint` is SHA-256 of the raw public key its certificate must carry."""

    user_id: Id
    host: str
    port: Port
    thumbprint: Thumbprint
    is_complete: bool


class Welcome(Message, frozen=True, tag="welcome"):
    """The first frame of every connection. `nonce` is fresh and is what a login signs."""

    version: int
    nonce: Nonce
    authority_pem: bytes


class GroupEpoch(Message, frozen=True, tag="group_epoch"):
    """The group has a new epoch because `removed` left it or was removed: tickets of that account are void at once, all
    other tickets of older epochs soon.

    With a `spared` key (its thumbprint) the account stays a member, and only its sessions with other keys are removed.
    """

    group_id: Id
    epoch: int
    removed: Id
    spared: Annotated[bytes, Meta(max_length=32)] = b""


class OwnerChanged(Message, frozen=True, tag="owner_changed"):
    group_id: Id
    owner: Id


class RequestArrived(Message, frozen=True, tag="request_arrived"):
    """To a group's owner: an account asks to join."""

    group_id: Id
    user_id: Id


class RequestAnswered(Message, frozen=True, tag="request_answered"):
    """To the account that asked to join."""

    group_id: Id
    is_accepted: bool


class PeerJoined(Message, frozen=True, tag="peer_joined"):
    """To those who are still fetching this file: there is one more place to get it from."""

    group_id: Id
    root: Root
    peer: Peer


class OutOfReach(Message, frozen=True, tag="out_of_reach"):
    """To a sharer: others are sent to this place and get nothing there. `members` is how many accounts say so, counted
    up to a small bound; 0 if nobody has said so yet, but the place is not where the client says that it listens.
    """

    host: str
    port: Port
    members: int


class SessionEnded(Message, frozen=True, tag="session_ended"):
    """The session of this connection was revoked. A login begins another."""

    reason: str


class TicketKeys(Message, frozen=True, tag="ticket_keys"):
    """All keys with which tickets are or will be signed, by id. A new one is told before its first ticket is signed."""

    keys: dict[str, TrustedKey]


Event = (
    GroupEpoch | OwnerChanged | RequestArrived | RequestAnswered | PeerJoined | OutOfReach | SessionEnded | TicketKeys
)


class Bulletin(Message, frozen=True, tag="bulletin"):
    """An event that every tracker tells. `number` is the same at each, so that a client takes the event once."""

    number: int
    event: GroupEpoch | OwnerChanged | RequestArrived | RequestAnswered
