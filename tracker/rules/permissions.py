"""Who may make a request: judges facts about the caller, and returns or raises a Refusal. Pure.

Whether the caller's session is alive, and what its account is in the group, are looked up once for every request and
judged here, before the request's own function runs and in the same transaction. docs/security.md says for every request
what it is allowed by.

Not here: what standing a request asks for (service.handlers), and rules about the thing asked for, such as whether a
name is free (the request's own function).
"""

from typing import Literal, NamedTuple

from tracker.protocol import requests
from tracker.protocol.names import shown_id
from tracker.protocol.types import ErrorCode

Standing = Literal["owner", "member", "requested", "none"]


class Group(NamedTuple):
    """A group as one account sees it."""

    group_id: str
    owner: str
    epoch: int
    standing: Standing
    is_open: bool = False


class Generation(NamedTuple):
    """Which sessions of an account are alive: those of the present generation, and the session that began it.

    A generation begins when a session revokes all others. That session goes on with certificates of the new generation.
    But the answer with the first of them may be lost, and its connections to other trackers still have an old one; so a
    session with its key is alive whatever its certificate says.
    """

    number: int
    spared: bytes | None
    """The thumbprint of that session's key; None if no session was revoked yet."""


class Refusal(Exception):
    """The answer to a request is no. Raised inside a transaction, it undoes the change."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message


def check_alive(present: Generation | None, number: int, thumbprint: bytes) -> Generation:
    """Returns `present`, if a session with this key and a certificate of generation `number` is alive. Raises Refusal.

    `present` is the generation of the session's account, or None if there is no such account.
    """
    if present is None:
        raise Refusal("session_ended", "there is no such account any more")
    is_spared = number < present.number and thumbprint == present.spared
    if number != present.number and not is_spared:
        raise Refusal("session_ended", "the sessions of this account were revoked; log in again")
    return present


def check_expiry(expires_at_s: float, now_s: float) -> None:
    """Raises Refusal if the session's certificate has ended."""
    if expires_at_s <= now_s:
        raise Refusal("session_ended", "your session has ended; log in again")


def check_session(request_type: type, is_logged_in: bool) -> None:
    """Raises Refusal unless this type of request may be made at this point of a connection."""
    if not is_logged_in and request_type not in requests.BEFORE_LOGIN:
        raise Refusal("not_logged_in", "log in first")
    if is_logged_in and request_type in (requests.Login, requests.Resume):
        raise Refusal("bad_request", "this connection is logged in already; log out first")


def check_standing(least: Standing, group_id: str, group: Group | None) -> Group:
    """Returns the group, if the account's standing in it is at least `least`. Raises Refusal."""
    if group is None:
        raise Refusal("no_such_group", f"there is no group {group_id}")
    if least == "none":
        return group
    if group.standing not in ("owner", "member"):
        raise Refusal("not_member", f"you are not a member of {group.group_id}")
    if least == "owner" and group.standing != "owner":
        raise Refusal("not_owner", f"only the owner of {group.group_id}, {shown_id(group.owner)}, may do that")
    return group
