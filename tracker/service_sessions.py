"""Requests about sessions: proving to be an account, going on as one, and ending it.

Invariants. A session's key was proven over this connection's nonce. A wrong password and an unknown name get the same
answer after the same work and the same waiting. No password work is done while the database is locked or on the event
loop. A certificate from before its account's sessions were revoked opens nothing.
"""

import asyncio
import itertools
import logging
import math
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy.ext.asyncio import AsyncConnection

from tracker import authority, people, quotas
from tracker.audit import Deed, write_deed
from tracker.names import choose_spelling, fold_id
from tracker.passwords import PasswordDesk
from tracker.permissions import Refusal
from tracker.protocol import (
    Alive,
    Done,
    Heartbeat,
    LoggedIn,
    Login,
    Logout,
    Renew,
    Resume,
    TrustedKey,
    login_challenge,
)
from tracker.settings import CERTIFICATE_LIFE_S
from tracker.store import Store
from tracker.throttle import Throttle
from tracker.ticket_keys import find_trusted_keys
from tracker.tickets import thumbprint_of
from tracker.turn import Caller, Desk, Session

_log = logging.getLogger("tracker")
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Door:
    desk: Desk
    store: Store
    passwords: PasswordDesk
    throttle: Throttle

    async def check_password(
        self, caller: Caller, user_id: str, password_hash: str | None, password: str, now_s: float
    ) -> bool:
        """Takes as long as the guesses before it earned, in whichever capital letters they named the account; raises
        Refusal if it is too soon.
        """
        host, user_id = caller.observed_host, fold_id(user_id)
        left_s = self.throttle.refused_for_s(user_id, host, now_s)
        if left_s > 0:
            _log.info("%s guesses at passwords, the last at that of %s", host, user_id)
            raise Refusal("throttled", f"too many wrong passwords; try again in {math.ceil(left_s)} s")
        hold_s = self.throttle.begin(user_id, host, now_s)
        if hold_s:
            await asyncio.sleep(hold_s)
        wrong_lately = self.throttle.count_wrong(host, now_s)
        is_right = await self.passwords.verify_password(host, password_hash, password, wrong_lately)
        if is_right:
            self.throttle.succeeded(user_id, host)
        return is_right


async def login(door: Door, caller: Caller, request: Login, request_id: bytes, now_s: float) -> LoggedIn:
    _check_proof(caller, request.user_id, request.public_key, request.proof)
    async with door.store.reading() as db:
        # Of nobody, if several are meant: an account is found by its own spelling, or by any if it is the only one.
        user_id = choose_spelling(request.user_id, await people.list_alike(db, request.user_id)) or request.user_id
        account = await people.find_account(db, user_id)
    password_hash = account and account.password_hash
    is_right = await door.check_password(caller, user_id, password_hash, request.password, now_s)
    if account is None or not is_right:
        raise Refusal("login_failed", "the user id or the password is wrong")
    stronger = None
    if door.passwords.needs_rehash(account.password_hash, request.password):
        stronger = await door.passwords.hash_password(caller.observed_host, request.password)
    async with door.store.changing() as db:
        if stronger is not None:
            await people.change_password_hash(db, user_id, stronger)
        await write_deed(db, Deed(user_id, "login", "", ""), caller.observed_host, now_s)
        keys = await find_trusted_keys(db, now_s)
    certificate_pem = authority.issue_member(
        door.desk.authority, user_id, request.public_key, now_s, CERTIFICATE_LIFE_S, account.generation
    )
    member = authority.MemberCertificate(user_id, request.public_key, account.generation)
    return _begin(door, caller, member, certificate_pem, keys, now_s)


async def resume(door: Door, caller: Caller, request: Resume, request_id: bytes, now_s: float) -> LoggedIn:
    try:
        member = authority.member_of(request.certificate_pem, door.desk.authority.certificate, now_s)
    except authority.BadCertificate as error:
        raise Refusal("session_ended", f"{error}; log in again") from error
    _check_proof(caller, member.user_id, member.public_key, request.proof)
    async with door.store.reading() as db:
        await _check_not_revoked(db, member.user_id, member.generation)
        keys = await find_trusted_keys(db, now_s)
    door.desk.tell_missed_removals(caller, member.user_id)
    return _begin(door, caller, member, request.certificate_pem, keys, now_s)


async def renew(door: Door, caller: Caller, request: Renew, request_id: bytes, now_s: float) -> LoggedIn:
    session = caller.session
    assert session is not None, "permissions let nobody here without a session"
    async with door.store.reading() as db:
        await _check_not_revoked(db, session.user_id, session.generation)
        return await renewed(door.desk, db, session, now_s)


async def logout(door: Door, caller: Caller, request: Logout, request_id: bytes, now_s: float) -> Done:
    door.desk.end_session(caller)
    return Done()


async def heartbeat(door: Door, caller: Caller, request: Heartbeat, request_id: bytes, now_s: float) -> Alive:
    """Any request of a session is a sign of life; this one is nothing else."""
    return Alive(now_s)


async def renewed(desk: Desk, db: AsyncConnection, session: Session, now_s: float) -> LoggedIn:
    """With a fresh certificate, of the account's present generation, for the session's key."""
    certificate_pem = authority.issue_member(
        desk.authority, session.user_id, session.public_key, now_s, CERTIFICATE_LIFE_S, session.generation
    )
    session.expires_at_s = authority.expires_at_s(certificate_pem)
    return _logged_in(session, certificate_pem, await find_trusted_keys(db, now_s))


async def _check_not_revoked(db: AsyncConnection, user_id: str, generation: int) -> None:
    account = await people.find_account(db, user_id)
    if account is None:
        raise Refusal("session_ended", f"there is no account {user_id}")
    if account.generation != generation:
        raise Refusal("session_ended", "the sessions of this account were revoked; log in again")


def _begin(
    door: Door,
    caller: Caller,
    member: authority.MemberCertificate,
    certificate_pem: bytes,
    keys: dict[str, TrustedKey],
    now_s: float,
) -> LoggedIn:
    door.desk.end_session(caller)
    thumbprint = thumbprint_of(member.public_key)
    quotas.check_sessions(len(door.desk.audience.keys_of(member.user_id) - {thumbprint}))
    session = Session(
        next(_numbers),
        member.user_id,
        member.public_key,
        thumbprint,
        authority.expires_at_s(certificate_pem),
        member.generation,
    )
    caller.session = session
    door.desk.audience.enter(caller, session)
    door.desk.presence.arrive(session.number, session.user_id, session.thumbprint, now_s)
    return _logged_in(session, certificate_pem, keys)


def _logged_in(session: Session, certificate_pem: bytes, keys: dict[str, TrustedKey]) -> LoggedIn:
    return LoggedIn(session.user_id, certificate_pem, session.expires_at_s, keys)


def _check_proof(caller: Caller, user_id: str, public_key: bytes, proof: bytes) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(proof, login_challenge(caller.nonce, user_id))
    except (InvalidSignature, ValueError):
        raise Refusal("login_failed", "the proof of the client's key is wrong") from None
