"""Requests about sessions: logging in, resuming, renewing the certificate, logging out.

Invariants. A client has proven its key over this very connection's nonce. A wrong password and an unknown name get the
same answer after the same work and the same delay. No password work is done on the event loop or while the database is
locked; so the hash that a password was compared with is looked at again in the transaction that acts
(`AccountChanged`). A certificate from before its account's sessions were revoked opens nothing, except for the session
that revoked them. A login is judged by the password alone, so that no session of the account can keep its owner out by
revoking others.

Not here: accounts themselves (accounts), the sessions that there are (live_sessions).
"""

import asyncio
import itertools
import logging
import math

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
from tracker.service.context import AccountChanged, LoginContext, RequestContext
from tracker.service.handlers import handles, handles_in_own_transactions
from tracker.service.live_sessions import Connection, Session
from tracker.service.tracker_state import TrackerState
from tracker.settings import CERTIFICATE_LIFE_S
from tracker.store import accounts, groups
from tracker.store.audit import AuditRecord, add_record
from tracker.store.ticket_keys import find_trusted_keys

_log = logging.getLogger("tracker")
_numbers = itertools.count(1)


@handles_in_own_transactions(Login)
async def login(context: LoginContext, request: Login) -> LoggedIn:
    _check_proof(context.connection, request.user_id, request.public_key, request.proof)
    async with context.store.reading() as db:
        # Of nobody, if several are meant: an account is found by its own spelling, or by any if it is the only one.
        user_id = choose_spelling(request.user_id, await accounts.list_alike(db, request.user_id)) or request.user_id
        account = await accounts.find_account(db, user_id)
    password_hash = account and account.password_hash
    is_right = await check_password(context, user_id, password_hash, request.password)
    if account is None or not is_right:
        raise Refusal("login_failed", "the user id or the password is wrong")
    stronger = None
    if context.passwords.needs_rehash(account.password_hash, request.password):
        stronger = await context.passwords.hash_password(context.connection.observed_host, request.password)
    async with context.store.changing() as db:
        now_s = context.clock()
        present = await accounts.find_account(db, user_id)
        if present is None or present.password_hash != account.password_hash:
            raise AccountChanged
        if stronger is not None:
            await accounts.change_password_hash(db, user_id, stronger)
        await add_record(db, AuditRecord(now_s, context.connection.observed_host, user_id, "login"))
        keys = await find_trusted_keys(db, now_s)
    member = authority.MemberCertificate(user_id, request.public_key, present.generation.number)
    return _begin(context, member, _certify(context.state, member, now_s), keys, now_s)


@handles_in_own_transactions(Resume)
async def resume(context: LoginContext, request: Resume) -> LoggedIn:
    now_s = context.now_s
    try:
        member = authority.member_of(request.certificate_pem, context.state.authority.certificate, now_s)
    except authority.BadCertificate as error:
        raise Refusal("session_ended", f"{error}; log in again") from error
    _check_proof(context.connection, member.user_id, member.public_key, request.proof)
    async with context.store.reading() as db:
        present, _ = await groups.find_standing(db, member.user_id, None)
        present = check_alive(present, member.generation, thumbprint_of(member.public_key))
        keys = await find_trusted_keys(db, now_s)
    certificate_pem = request.certificate_pem
    if present.number != member.generation:
        # It revoked the others, and the answer with its new certificate has not reached it.
        member = member._replace(generation=present.number)
        certificate_pem = _certify(context.state, member, now_s)
    answer = _begin(context, member, certificate_pem, keys, now_s)
    context.state.tell_missed_removals(context.connection, member.user_id)
    return answer


@handles_in_own_transactions(Logout)
async def logout(context: LoginContext, request: Logout) -> Done:
    context.state.end_session(context.connection)
    return Done()


@handles_in_own_transactions(Heartbeat)
async def heartbeat(context: LoginContext, request: Heartbeat) -> Alive:
    """Any request of a session is a sign of life; this one is nothing more."""
    return Alive(context.now_s)


@handles(Renew, least_standing=None, is_change=False)
async def renew(context: RequestContext, request: Renew) -> LoggedIn:
    assert context.generation is not None, "looked up before the request's own code runs"
    return await renewed(context, context.generation)


async def renewed(context: RequestContext, present: Generation) -> LoggedIn:
    """An answer with a fresh certificate for the session's key, of the account's present generation."""
    session = context.session
    member = authority.MemberCertificate(session.user_id, session.public_key, present.number)
    answer = _logged_in(
        session.user_id,
        _certify(context.state, member, context.now_s),
        await find_trusted_keys(context.db, context.now_s),
    )
    context.afterwards(lambda: session.go_on(present.number, answer.expires_at_s))
    return answer


async def check_password(context: LoginContext, user_id: str, password_hash: str | None, password: str) -> bool:
    """Whether the password is the account's. Takes longer the more wrong ones came before, however the account's name
    was capitalised. Raises Refusal if too many wrong ones came.
    """
    host, user_id, now_s = context.connection.observed_host, fold_id(user_id), context.now_s
    left_s = context.throttle.refused_for_s(user_id, host, now_s)
    if left_s > 0:
        _log.info("%s guesses at passwords, the last at that of %s", host, user_id)
        raise Refusal("throttled", f"too many wrong passwords; try again in {math.ceil(left_s)} s")
    hold_s = context.throttle.begin(user_id, host, now_s)
    if hold_s:
        await asyncio.sleep(hold_s)
    wrong_lately = context.throttle.count_wrong(host, now_s)
    is_right = await context.passwords.verify_password(host, password_hash, password, wrong_lately)
    if is_right:
        context.throttle.succeeded(user_id, host)
    return is_right


def _certify(state: TrackerState, member: authority.MemberCertificate, now_s: float) -> bytes:
    return authority.issue_member(
        state.authority, member.user_id, member.public_key, now_s, CERTIFICATE_LIFE_S, member.generation
    )


def _begin(
    context: LoginContext,
    member: authority.MemberCertificate,
    certificate_pem: bytes,
    keys: dict[str, TrustedKey],
    now_s: float,
) -> LoggedIn:
    """Nothing is awaited between the look at the latest news and the moment from which news finds the session."""
    context.state.end_session(context.connection)
    thumbprint = thumbprint_of(member.public_key)
    quotas.check_sessions(len(context.state.sessions.thumbprints_of(member.user_id) - {thumbprint}))
    answer = _logged_in(member.user_id, certificate_pem, keys)
    session = Session(
        next(_numbers), member.user_id, member.public_key, thumbprint, answer.expires_at_s, member.generation
    )
    context.state.begin_session(context.connection, session, now_s)
    return answer


def _logged_in(user_id: str, certificate_pem: bytes, keys: dict[str, TrustedKey]) -> LoggedIn:
    return LoggedIn(user_id, certificate_pem, authority.expires_at_s(certificate_pem), keys)


def _check_proof(connection: Connection, user_id: str, public_key: bytes, proof: bytes) -> None:
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(proof, login_challenge(connection.nonce, user_id))
    except (InvalidSignature, ValueError):
        raise Refusal("login_failed", "the proof of the client's key is wrong") from None
