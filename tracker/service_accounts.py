"""Requests about accounts: making one, changing its password, ending its sessions elsewhere.

Invariants. Whoever changes a password has proven the old one. With the password, or on demand, every other session of
the account ends: on every tracker (news), for every certificate issued before (its generation), and with every peer
that serves it (the epochs of its groups).
"""

from dataclasses import replace

from tracker import people
from tracker.names import check_id
from tracker.news import SessionsRevoked
from tracker.outcomes import find_outcome, remember_outcome
from tracker.permissions import Refusal
from tracker.protocol import (
    ChangePassword,
    CreateUser,
    Done,
    GroupEpoch,
    LoggedIn,
    RevokeSessions,
)
from tracker.service_sessions import Door, renewed
from tracker.turn import Caller, Turn


async def create_user(
    door: Door, caller: Caller, request: CreateUser, request_id: bytes, now_s: float
) -> Done:
    """A retry is the same person only if it has the password: request ids alone prove nothing before a login."""
    user_id = check_id("user id", request.user_id)
    new_hash = await door.passwords.hash_password(request.password)
    async with door.store.changing() as db:
        if await people.find_account(db, user_id) is None and await people.add_account(
            db, user_id, new_hash, now_s
        ):
            await remember_outcome(db, user_id, request_id, Done(), now_s)
            return Done()
    async with door.store.reading() as db:
        was_this_request = await find_outcome(db, user_id, request_id) is not None
        account = await people.find_account(db, user_id)
    if was_this_request and await door.passwords.verify_password(account and account.password_hash, request.password):
        return Done()
    raise Refusal("user_taken", f"the name {user_id} is taken")


async def change_password(
    door: Door, caller: Caller, request: ChangePassword, request_id: bytes, now_s: float
) -> LoggedIn:
    session = caller.session
    assert session is not None, "permissions let nobody here without a session"
    user_id = session.user_id
    async with door.store.reading() as db:
        done_before = await find_outcome(db, user_id, request_id)
        account = await people.find_account(db, user_id)
    if isinstance(done_before, LoggedIn):
        return done_before
    if account is None or not await door.passwords.verify_password(account.password_hash, request.old_password):
        raise Refusal("login_failed", "the old password is wrong; nothing was changed")
    new_hash = await door.passwords.hash_password(request.new_password)
    async with door.store.changing() as db:
        turn = Turn(door.desk, db, session, caller.observed_host, now_s)
        await people.change_password_hash(db, user_id, new_hash)
        result = await _revoke_others(turn)
        await remember_outcome(db, user_id, request_id, result, now_s)
        await turn.write_news()
    turn.finish()
    return result


async def revoke_sessions(turn: Turn, request: RevokeSessions) -> LoggedIn:
    return await _revoke_others(turn)


async def _revoke_others(turn: Turn) -> LoggedIn:
    """Every session but the asking one, which goes on with the certificate of the answer."""
    session, db = turn.session, turn.db
    generation = await people.raise_generation(db, session.user_id)
    for group_id in sorted(await people.list_groups_of(db, session.user_id)):
        epoch = await people.raise_epoch(db, group_id)
        members = await people.list_members(db, group_id)
        turn.tell(members, GroupEpoch(group_id, epoch, session.user_id, session.thumbprint))
    turn.tell([], SessionsRevoked(session.user_id, generation, session.thumbprint))
    return renewed(turn.desk, replace(session, generation=generation), turn.now_s)
