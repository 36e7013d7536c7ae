"""Requests about accounts: making one, inviting others, changing its password, ending its sessions elsewhere.

Invariants. Where invitations are required, no password work is done without one. A password is changed only by somebody
who has proven the old one, if it still is the account's at that moment. A new password, and `revoke_sessions`, end
every other session of the account: on every tracker (by news, and by what each transaction looks up), for every earlier
certificate (by the account's generation), and with every peer that serves it (by the epochs of its groups). The asking
session goes on, even if the answer is lost on its way.

Not here: logging in and out (sessions), whether a caller may (rules.permissions).
"""

import math

from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol import invite_codes
from tracker.protocol.events import GroupEpoch
from tracker.protocol.names import check_new_id
from tracker.protocol.requests import ChangePassword, CreateInvite, CreateUser, RevokeSessions
from tracker.protocol.results import Done, Invited, LoggedIn
from tracker.rules.permissions import Refusal
from tracker.service.context import AccountChanged, LoginContext, RequestContext
from tracker.service.handlers import handles, handles_in_own_transactions
from tracker.service.sessions import check_password, renewed
from tracker.settings import INVITES_PER_ACCOUNT_MAX, REVOCATIONS_COUNTED_FOR_S, REVOCATIONS_PER_SESSION_MAX
from tracker.store import accounts, groups, invites
from tracker.store.audit import AuditRecord, add_record
from tracker.store.news import SessionsRevoked
from tracker.store.outcomes import find_outcome, remember_outcome

_BAD_INVITE = "this invitation was used, has expired, or never was one"


@handles_in_own_transactions(CreateUser)
async def create_user(context: LoginContext, request: CreateUser) -> Done:
    """A retry is known as such only with the password too: before a login, a request id alone proves nothing."""
    user_id, host = check_new_id("user id", request.user_id), context.connection.observed_host
    left_s = context.throttle.account_wanted(host, context.now_s)
    if left_s:
        raise Refusal("throttled", f"too many accounts from your address; try again in {math.ceil(left_s)} s")
    async with context.store.reading() as db:
        was_this_request = await find_outcome(db, user_id, context.request_id) is not None
        account = await accounts.find_account(db, user_id)
        is_taken = bool(await accounts.list_alike(db, user_id))
        if not is_taken:
            await _check_invite(context, db, request.invite, context.now_s)
    if is_taken:
        password_hash = account and account.password_hash
        if was_this_request and await check_password(context, user_id, password_hash, request.password):
            async with context.store.reading() as db:
                if await accounts.find_account(db, user_id) != account:
                    raise AccountChanged
            return Done()
        raise _taken(user_id)
    new_hash = await context.passwords.hash_password(host, request.password)
    async with context.store.changing() as db:
        now_s = context.clock()
        if await accounts.list_alike(db, user_id):
            raise AccountChanged  # maybe by this very request, sent to another tracker too
        is_invited = context.state.policy.registration == "open" or await invites.use_invite(
            db, invite_codes.invite_digest(request.invite), now_s
        )
        if not is_invited:
            raise Refusal("bad_invite", _BAD_INVITE)
        if not await accounts.add_account(db, user_id, new_hash, now_s):
            raise _taken(user_id)
        await add_record(db, AuditRecord(now_s, host, user_id, "account_created"))
        await remember_outcome(db, user_id, context.request_id, Done(), now_s)
    return Done()


def _taken(user_id: str) -> Refusal:
    return Refusal("user_taken", f"the name {user_id} is taken; capital letters make no difference")


async def _check_invite(context: LoginContext, db: AsyncConnection, code: bytes, now_s: float) -> None:
    """To be called before any work is done for a stranger."""
    if context.state.policy.registration == "open":
        return
    if not code:
        raise Refusal("invite_needed", "this tracker takes invited people only; ask somebody with an account")
    if not await invites.is_valid(db, invite_codes.invite_digest(code), now_s):
        raise Refusal("bad_invite", _BAD_INVITE)


@handles(CreateInvite, least_standing=None, is_change=True)
async def create_invite(context: RequestContext, request: CreateInvite) -> Invited:
    if await invites.count_invites(context.db, context.user_id, context.now_s) >= INVITES_PER_ACCOUNT_MAX:
        raise Refusal("too_large", f"{INVITES_PER_ACCOUNT_MAX} of your invitations are unused; wait until some expire")
    expires_at_s = context.now_s + request.life_s
    if not await invites.add_invite(context.db, request.digest, context.user_id, expires_at_s):
        raise Refusal("bad_request", "there is an invitation with this code already; make one with a fresh code")
    context.note("invite_created")
    return Invited(expires_at_s)


@handles_in_own_transactions(ChangePassword)
async def change_password(login: LoginContext, request: ChangePassword) -> LoggedIn:
    session = login.connection.session
    assert session is not None, "permissions let nobody here without a session"
    user_id = session.user_id
    async with login.store.reading() as db:
        account = await accounts.find_account(db, user_id)
        session.check_alive(account and account.generation, login.now_s)
        done_before = await find_outcome(db, user_id, login.request_id)
    if isinstance(done_before, LoggedIn):
        return done_before
    password_hash = account and account.password_hash
    if not await check_password(login, user_id, password_hash, request.old_password):
        raise Refusal("login_failed", "the old password is wrong; nothing was changed")
    new_hash = await login.passwords.hash_password(login.connection.observed_host, request.new_password)
    async with login.store.changing() as db:
        context = RequestContext(login.state, db, session, login.connection.observed_host, login.clock())
        present = await accounts.find_account(db, user_id)
        session.check_alive(present and present.generation, context.now_s)
        if present != account:
            raise AccountChanged  # maybe by this very request, sent to another tracker too
        await accounts.change_password_hash(db, user_id, new_hash)
        context.note("password_changed")
        result = await _revoke_others(context)
        await remember_outcome(db, user_id, login.request_id, result, context.now_s)
        await context.write_down()
    context.finish()
    return result


@handles(RevokeSessions, least_standing=None, is_change=True)
async def revoke_sessions(context: RequestContext, request: RevokeSessions) -> LoggedIn:
    """A session may do so only a few times a minute, so that a stolen one leaves its owner the time to change the
    password.
    """
    made = context.state.revocations_by(context.session, context.now_s)[-REVOCATIONS_PER_SESSION_MAX:]
    if len(made) == REVOCATIONS_PER_SESSION_MAX:
        wait_s = math.ceil(made[0] + REVOCATIONS_COUNTED_FOR_S - context.now_s)
        raise Refusal(
            "throttled",
            f"this session ended the others {REVOCATIONS_PER_SESSION_MAX} times just now; change_password ends them at "
            f"once, or try again in {wait_s} s",
        )
    context.note("sessions_revoked")
    return await _revoke_others(context)


async def _revoke_others(context: RequestContext) -> LoggedIn:
    """Ends every session but the asking one, which goes on with the certificate of the answer."""
    session, db = context.session, context.db
    present = await accounts.revoke_sessions(db, session.user_id, session.thumbprint)
    for group_id in sorted(await groups.list_groups_of(db, session.user_id)):
        epoch = await groups.raise_epoch(db, group_id)
        members = await groups.list_members(db, group_id)
        context.tell(members, GroupEpoch(group_id, epoch, session.user_id, session.thumbprint))
    context.tell([], SessionsRevoked(session.user_id, present.number, session.thumbprint))
    return await renewed(context, present)
