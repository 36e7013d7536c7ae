"""Requests about sessions: proving to be an account, going on as one, and ending it.

Invariants. A session's key was proven over this connection's nonce. A wrong password and an unknown name get the same
answer after the same work and the same waiting. No password work is done while the database is locked or on the event
loop; so what a password was compared with is looked at again in the transaction that acts on it (`Outdated`). A
certificate from before its account's sessions were revoked opens nothing, but for the session that revoked them. A
login is judged by the password alone, so that no session of the account can keep its owner out by revoking others.
"""

import asyncio
import itertools
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from tracker.protocol import authority
from tracker.protocol.names import choose_spelling, fold_id
from tracker.protocol.requests import Heartbeat, Login, Logout, Renew, Resume, login_challenge
from tracker.protocol.results import Alive, Done, LoggedIn
from tracker.protocol.tickets import thumbprint_of
from tracker.protocol.types import TrustedKey
from tracker.rules import quotas
from tracker.rules.permissions import Generation, Refusal, check_alive
from tracker.rules.throttle import Throttle
from tracker.service.context import Caller, Desk, Session, Turn
from tracker.service.passwords import PasswordDesk
from tracker.settings import CERTIFICATE_LIFE_S
from tracker.store import accounts, groups
from tracker.store.audit import Deed, write_deed
from tracker.store.store import Store
from tracker.store.ticket_keys import find_trusted_keys

_log = logging.getLogger("tracker")
_numbers = itertools.count(1)


class Outdated(Exception):
    """What a request was judged by is not what stands in the transaction that would act on it: to be judged anew.

    Undoes the change in whose transaction it is raised.
    """


@dataclass(frozen=True, slots=True)
class Door:
    desk: Desk
    clock: Callable[[], float]
    """A password may have waited for long; what depends on the time is judged by the time of the transaction."""
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
        user_id = choose_spelling(request.user_id, await accounts.list_alike(db, request.user_id)) or request.user_id
        account = await accounts.find_account(db, user_id)
    password_hash = account and account.password_hash
    is_right = await door.check_password(caller, user_id, password_hash, request.password, now_s)
    if account is None or not is_right:
        raise Refusal("login_failed", "the user id or the password is wrong")
    stronger = None
    if door.passwords.needs_rehash(account.password_hash, request.password):
        stronger = await door.passwords.hash_password(caller.observed_host, request.password)
    async with door.store.changing() as db:
        now_s = door.clock()
        present = await accounts.find_account(db, user_id)
        if present is None or present.password_hash != account.password_hash:
            raise Outdated
        if stronger is not None:
            await accounts.change_password_hash(db, user_id, stronger)
        await write_deed(db, Deed(user_id, "login", "", ""), caller.observed_host, now_s)
        keys = await find_trusted_keys(db, now_s)
    member = authority.MemberCertificate(user_id, request.public_key, present.generation.number)
    return _begin(door, caller, member, _certify(door.desk, member, now_s), keys, now_s)


async def resume(door: Door, caller: Caller, request: Resume, request_id: bytes, now_s: float) -> LoggedIn:
    try:
        member = authority.member_of(request.certificate_pem, door.desk.authority.certificate, now_s)
    except authority.BadCertificate as error:
        raise Refusal("session_ended", f"{error}; log in again") from error
    _check_proof(caller, member.user_id, member.public_key, request.proof)
    async with door.store.reading() as db:
        present, _ = await groups.find_standing(db, member.user_id, None)
        present = check_alive(present, member.generation, thumbprint_of(member.public_key))
        keys = await find_trusted_keys(db, now_s)
    certificate_pem = request.certificate_pem
    if present.number != member.generation:
        # It revoked the others, and the answer with its new certificate has not reached it.
        member = member._replace(generation=present.number)
        certificate_pem = _certify(door.desk, member, now_s)
    answer = _begin(door, caller, member, certificate_pem, keys, now_s)
    door.desk.tell_missed_removals(caller, member.user_id)
    return answer


async def logout(door: Door, caller: Caller, request: Logout, request_id: bytes, now_s: float) -> Done:
    door.desk.end_session(caller)
    return Done()


async def heartbeat(door: Door, caller: Caller, request: Heartbeat, request_id: bytes, now_s: float) -> Alive:
    """Any request of a session is a sign of life; this one is nothing else."""
    return Alive(now_s)


async def renew(turn: Turn, request: Renew) -> LoggedIn:
    assert turn.generation is not None, "looked up before the request's own code runs"
    return await renewed(turn, turn.generation)


async def renewed(turn: Turn, present: Generation) -> LoggedIn:
    """With a fresh certificate, of the account's present generation, for the session's key."""
    session = turn.session
    member = authority.MemberCertificate(session.user_id, session.public_key, present.number)
    answer = _logged_in(
        session.user_id, _certify(turn.desk, member, turn.now_s), await find_trusted_keys(turn.db, turn.now_s)
    )
    turn.afterwards(lambda: session.go_on(present.number, answer.expires_at_s))
    return answer


def _certify(desk: Desk, member: authority.MemberCertificate, now_s: float) -> bytes:
    return authority.issue_member(
        desk.authority, member.user_id, member.public_key, now_s, CERTIFICATE_LIFE_S, member.generation
    )


def _begin(
    door: Door,
    caller: Caller,
    member: authority.MemberCertificate,
    certificate_pem: bytes,
    keys: dict[str, TrustedKey],
    now_s: float,
) -> LoggedIn:
    """Without a pause between the look at what was heard and the moment from which news finds the session."""
    door.desk.end_session(caller)
    thumbprint = thumbprint_of(member.public_key)
    quotas.check_sessions(len(door.desk.audience.keys_of(member.user_id) - {thumbprint}))
    answer = _logged_in(member.user_id, certificate_pem, keys)
    session = Session(
        next(_numbers), member.user_id, member.public_key, thumbprint, answer.expires_at_s, member.generation
    )
    door.desk.admit(caller, session, now_s)
    return answer


def _logged_in(user_id: str, certificate_pem: bytes, keys: dict[str, TrustedKey]) -> LoggedIn:
    return LoggedIn(user_id, certificate_pem, authority.expires_at_s(certificate_pem), keys)


def _check_proof(caller: Caller, user_id: str, public_key: bytes, proof: bytes) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(proof, login_challenge(caller.nonce, user_id))
    except (InvalidSignature, ValueError):
        raise Refusal("login_failed", "the proof of the client's key is wrong") from None
