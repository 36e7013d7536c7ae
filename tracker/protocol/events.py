"""What a tracker says unasked: its welcome, and events. Pure; a part of `protocol`, which is where others find it."""

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
    """Tickets of `removed` are void now, everyone's of older epochs soon.

    With a `spared` key (its thumbprint) the account stays a member, and only its sessions with other keys are out.
    """

    group_id: Id
    epoch: int
    removed: Id
    spared: Annotated[bytes, Meta(max_length=32)] = b""


class OwnerChanged(Message, frozen=True, tag="owner_changed"):
    group_id: Id
    owner: Id


class RequestArrived(Message, frozen=True, tag="request_arrived"):
    """To a group's owner: somebody asks to be let in."""

    group_id: Id
    user_id: Id


class RequestAnswered(Message, frozen=True, tag="request_answered"):
    """To the one who asked."""

    group_id: Id
    is_accepted: bool


class PeerJoined(Message, frozen=True, tag="peer_joined"):
    """To those still fetching this file: one more place to get it from."""

    group_id: Id
    root: Root
    peer: Peer


class OutOfReach(Message, frozen=True, tag="out_of_reach"):
    """To somebody who shares: others are sent to this place, and get nothing there. So say `members` of them (accounts,
    counted up to a small bound); 0: nobody has said so yet, but it is not where the client says that it listens.
    """

    host: str
    port: Port
    members: int


class SessionEnded(Message, frozen=True, tag="session_ended"):
    """The session of this connection was revoked; a login begins another."""

    reason: str


class TicketKeys(Message, frozen=True, tag="ticket_keys"):
    """By id, all keys with which tickets are or may be signed; a new one comes before its first ticket."""

    keys: dict[str, TrustedKey]


Event = (
    GroupEpoch | OwnerChanged | RequestArrived | RequestAnswered | PeerJoined | OutOfReach | SessionEnded | TicketKeys
)


class Bulletin(Message, frozen=True, tag="bulletin"):
    """An event that every tracker tells. `number` is the store's, so that a client takes it once."""

    number: int
    event: GroupEpoch | OwnerChanged | RequestArrived | RequestAnswered
