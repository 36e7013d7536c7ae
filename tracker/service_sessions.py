"""Requests about accounts and sessions: making one, proving to be one, and ending it.

Invariants. A session's key was proven over this connection's nonce. A wrong password and an unknown name get the same
answer after the same work. No password work is done while the database is locked or on the event loop.
"""

import itertools
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tracker import authority, people
from tracker.names import check_id
from tracker.outcomes import find_outcome, remember_outcome
from tracker.passwords import PasswordDesk
from tracker.permissions import Refusal
from tracker.protocol import (
    CreateUser,
    Done,
    Heartbeat,
    LoggedIn,
    Login,
    Logout,
    Renew,
    Resume,
    login_challenge,
)
from tracker.settings import CERTIFICATE_LIFE_S
from tracker.store import Store
from tracker.tickets import thumbprint_of
from tracker.turn import Caller, Desk, Session

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Door:
    desk: Desk
    store: Store
    passwords: PasswordDesk


async def create_user(
    door: Door, caller: Caller, request: CreateUser, request_id: bytes, now_s: float
) -> Done:
    """A retry is the same person only if it has the password: request ids alone prove nothing before a login."""
    user_id = check_id("user id", request.user_id)
    new_hash = await door.passwords.hash_password(request.password)
    async with door.store.changing() as db:
        if await people.find_password_hash(db, user_id) is None and await people.add_account(
            db, user_id, new_hash, now_s
        ):
            await remember_outcome(db, user_id, request_id, Done(), now_s)
            return Done()
    async with door.store.reading() as db:
        was_this_request = await find_outcome(db, user_id, request_id) is not None
        old_hash = await people.find_password_hash(db, user_id)
    if was_this_request and await door.passwords.verify_password(old_hash, request.password):
        return Done()
    raise Refusal("user_taken", f"the name {user_id} is taken")


async def login(door: Door, caller: Caller, request: Login, request_id: bytes, now_s: float) -> LoggedIn:
    _check_proof(caller, request.user_id, request.public_key, request.proof)
    async with door.store.reading() as db:
        password_hash = await people.find_password_hash(db, request.user_id)
    is_right = await door.passwords.verify_password(password_hash, request.password)
    if password_hash is None or not is_right:
        raise Refusal("login_failed", "the user id or the password is wrong")
    if door.passwords.needs_rehash(password_hash):
        stronger = await door.passwords.hash_password(request.password)
        async with door.store.changing() as db:
            await people.change_password_hash(db, request.user_id, stronger)
    certificate_pem = authority.issue_member(
        door.desk.keyring.authority, request.user_id, request.public_key, now_s, CERTIFICATE_LIFE_S
    )
    return _begin(door, caller, request.user_id, request.public_key, certificate_pem, now_s)


async def resume(door: Door, caller: Caller, request: Resume, request_id: bytes, now_s: float) -> LoggedIn:
    try:
        user_id, public_key = authority.member_of(
            request.certificate_pem, door.desk.keyring.authority.certificate, now_s
        )
    except authority.BadCertificate as error:
        raise Refusal("session_ended", f"{error}; log in again") from error
    _check_proof(caller, user_id, public_key, request.proof)
    async with door.store.reading() as db:
        if await people.find_password_hash(db, user_id) is None:
            raise Refusal("session_ended", f"there is no account {user_id}")
    return _begin(door, caller, user_id, public_key, request.certificate_pem, now_s)


async def renew(door: Door, caller: Caller, request: Renew, request_id: bytes, now_s: float) -> LoggedIn:
    session = caller.session
    assert session is not None, "permissions let nobody here without a session"
    certificate_pem = authority.issue_member(
        door.desk.keyring.authority, session.user_id, session.public_key, now_s, CERTIFICATE_LIFE_S
    )
    session.expires_at_s = authority.expires_at_s(certificate_pem)
    return _logged_in(door, session, certificate_pem)


async def logout(door: Door, caller: Caller, request: Logout, request_id: bytes, now_s: float) -> Done:
    end_session(door.desk, caller)
    return Done()


async def heartbeat(door: Door, caller: Caller, request: Heartbeat, request_id: bytes, now_s: float) -> Done:
    """Any request of a session is a sign of life; this one is nothing else."""
    return Done()


def end_session(desk: Desk, caller: Caller) -> None:
    if caller.session is not None:
        desk.audience.leave(caller.session)
        desk.presence.drop(caller.session.number)
        caller.session = None


def _begin(
    door: Door, caller: Caller, user_id: str, public_key: bytes, certificate_pem: bytes, now_s: float
) -> LoggedIn:
    end_session(door.desk, caller)
    session = Session(
        next(_numbers), user_id, public_key, thumbprint_of(public_key), authority.expires_at_s(certificate_pem)
    )
    caller.session = session
    door.desk.audience.enter(caller, session)
    door.desk.presence.arrive(session.number, user_id, session.thumbprint, now_s)
    return _logged_in(door, session, certificate_pem)


def _logged_in(door: Door, session: Session, certificate_pem: bytes) -> LoggedIn:
    return LoggedIn(session.user_id, certificate_pem, session.expires_at_s, door.desk.keyring.ticket_keys)


def _check_proof(caller: Caller, user_id: str, public_key: bytes, proof: bytes) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(proof, login_challenge(caller.nonce, user_id))
    except (InvalidSignature, ValueError):
        raise Refusal("login_failed", "the proof of the client's key is wrong") from None
