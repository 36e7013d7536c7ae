"""Answers requests: permission, then the request's own function, then the outcome, in one transaction.

Invariants. Denied by default: a request that is in no table here, or that `permissions` does not let through, changes
and tells nothing. What lets it through is looked at in the transaction that answers it. A change and its remembered
outcome are committed together, so a retry never runs twice. Soft state and events follow the commit.

No sockets, no SQL: the connection is a `Connection`, the queries are in people, catalogue and outcomes.
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from tracker.protocol import manifests, requests
from tracker.protocol.authority import Authority
from tracker.protocol.names import BadName
from tracker.protocol.requests import Call
from tracker.protocol.results import Refused, Result
from tracker.rules import permissions
from tracker.rules.handout import Handout
from tracker.rules.permissions import Refusal
from tracker.rules.presence import Presence
from tracker.rules.throttle import ENTRIES_MAX, Throttle
from tracker.rules.token_buckets import TokenBuckets
from tracker.service import accounts, files, groups, sessions, swarm
from tracker.service import name_rights as names
from tracker.service.context import AccountChanged, LoginContext, RequestContext
from tracker.service.live_sessions import Connection, LiveSessions, Session
from tracker.service.passwords import PasswordQueue, PasswordQueueFull, Passwords
from tracker.service.tracker_state import TrackerState
from tracker.settings import (
    NEWS_POLL_S,
    REQUEST_WAIT_MAX_S,
    REQUESTS_AT_ONCE_PER_ACCOUNT,
    REQUESTS_PER_S_PER_ACCOUNT,
    Policy,
)
from tracker.store import groups as group_rows
from tracker.store.news import read_news
from tracker.store.outcomes import find_outcome, remember_outcome
from tracker.store.store import Store

_log = logging.getLogger("tracker")

_JUDGED_MAX = 3
"""Of one request. Each time, somebody else has changed its account while its password was being looked at."""


class Handler(NamedTuple):
    answer: Callable[[RequestContext, Any], Awaitable[Result]]
    is_change: bool


SESSION_HANDLERS: dict[type, Callable[[LoginContext, Any], Awaitable[Result]]] = {
    requests.CreateUser: accounts.create_user,
    requests.ChangePassword: accounts.change_password,
    requests.Login: sessions.login,
    requests.Resume: sessions.resume,
    requests.Logout: sessions.logout,
    requests.Heartbeat: sessions.heartbeat,
}

HANDLERS: dict[type, Handler] = {
    requests.Renew: Handler(sessions.renew, is_change=False),
    requests.RevokeSessions: Handler(accounts.revoke_sessions, is_change=True),
    requests.CreateInvite: Handler(accounts.create_invite, is_change=True),
    requests.CreateGroup: Handler(groups.create_group, is_change=True),
    requests.JoinGroup: Handler(groups.join_group, is_change=True),
    requests.LeaveGroup: Handler(groups.leave_group, is_change=True),
    requests.RemoveMember: Handler(groups.remove_member, is_change=True),
    requests.TransferOwnership: Handler(groups.transfer_ownership, is_change=True),
    requests.FetchAudit: Handler(groups.fetch_audit, is_change=False),
    requests.ListRequests: Handler(groups.list_requests, is_change=False),
    requests.AcceptRequest: Handler(groups.accept_request, is_change=True),
    requests.RejectRequest: Handler(groups.reject_request, is_change=True),
    requests.ListGroups: Handler(groups.list_groups, is_change=False),
    requests.ListFiles: Handler(files.list_files, is_change=False),
    manifests.Publish: Handler(files.publish, is_change=True),
    manifests.PutPage: Handler(files.put_page, is_change=True),
    manifests.FetchManifest: Handler(files.fetch_manifest, is_change=False),
    manifests.FetchPage: Handler(files.fetch_page, is_change=False),
    requests.Withdraw: Handler(names.withdraw, is_change=True),
    requests.Announce: Handler(swarm.announce, is_change=False),
    requests.AnnounceChange: Handler(swarm.announce_change, is_change=False),
    requests.FindPeers: Handler(swarm.find_peers, is_change=False),
    requests.GetTicket: Handler(swarm.get_ticket, is_change=False),
}


class Service:
    def __init__(
        self,
        store: Store,
        authority: Authority,
        passwords: Passwords,
        clock: Callable[[], float],
        chance: random.Random,
        policy: Policy | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        origin = secrets.token_bytes(8)
        self._state = TrackerState(authority, Presence(), Handout(), LiveSessions(), chance, policy or Policy(), origin)
        self._last_news = 0
        self._data_version_heard: int | None = None
        self._paces = TokenBuckets(
            REQUESTS_PER_S_PER_ACCOUNT, REQUESTS_AT_ONCE_PER_ACCOUNT, ENTRIES_MAX, REQUEST_WAIT_MAX_S
        )
        self._passwords = PasswordQueue(passwords)
        self._throttle = Throttle()

    async def answer(self, connection: Connection, call: Call) -> Result:
        """The result of a request, a refusal included; anything raised from here is a bug or a broken store."""
        try:
            return await self._answer(connection, call)
        except Refusal as refusal:
            return Refused(refusal.code, refusal.message)
        except BadName as error:
            return Refused("bad_name", str(error))
        except PasswordQueueFull:
            return Refused("busy", "too many people are logging in at once; try again in a few seconds")

    def hang_up(self, connection: Connection) -> None:
        """The connection is gone, and with it what its client shares."""
        self._state.end_session(connection)

    async def catch_up(self) -> None:
        """To be called before the first connection: what was told lately, before this tracker was there to hear it."""
        async with self._store.reading() as db:
            for news in await read_news(db, 0):
                self._last_news = news.number
                self._state.recent_news.append(news)

    async def hear_news(self) -> None:
        """Pass on what other trackers of this store changed since the last time."""
        version = self._store.data_version()
        if version is not None and version == self._data_version_heard:
            return
        async with self._store.reading() as db:
            found = await read_news(db, self._last_news)
        for news in found:
            self._last_news = news.number
            if news.origin != self._state.origin:
                self._state.deliver(news)
        self._data_version_heard = version

    async def follow_news(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(NEWS_POLL_S)
            try:
                await self.hear_news()
            except SQLAlchemyError as error:
                _log.error("the database failed: %s", getattr(error, "orig", None) or type(error).__name__)

    def is_forgotten(self, connection: Connection) -> bool:
        """Whether this caller had a session that has expired since, or lives on in a newer connection."""
        return connection.session is not None and not self._state.presence.is_online(connection.session.number)

    def sweep(self) -> None:
        """Forgets the silent."""
        now_s = self._clock()
        self._state.presence.expire(now_s)
        self._state.handout.sweep(self._state.presence.is_shared, now_s)

    async def _answer(self, connection: Connection, call: Call) -> Result:
        await self._wait_for_turn(connection)
        for _ in range(_JUDGED_MAX):
            try:
                return await self._judge(connection, call)
            except AccountChanged:
                continue
        raise Refusal("busy", "this account is being changed again and again; try again in a few seconds")

    async def _judge(self, connection: Connection, call: Call) -> Result:
        """Raises Refusal and AccountChanged."""
        request, now_s = call.request, self._clock()
        session = self._live_session(connection, now_s)
        permissions.check_session(type(request), session is not None)
        if type(request) in SESSION_HANDLERS:
            answer = SESSION_HANDLERS[type(request)]
            return await answer(
                LoginContext(
                    self._state, self._store, self._passwords, self._throttle, self._clock, connection,
                    call.request_id, now_s,
                ),
                request,
            )  # fmt: skip
        assert session is not None, "check_session let a stranger through"
        is_change = HANDLERS[type(request)].is_change
        async with self._store.changing() if is_change else self._store.reading() as db:
            # A change may have waited for long, so this is the time it is judged by.
            context = RequestContext(self._state, db, session, connection.observed_host, self._clock())
            result = await self._take(context, call)
            await context.write_down()
        context.finish()
        return result

    async def _wait_for_turn(self, connection: Connection) -> None:
        """Before anything is looked up, since much may change meanwhile. Raises Refusal."""
        # No account has a name with a space in it.
        asker = f"stranger {connection.observed_host}" if connection.session is None else connection.session.user_id
        wait_s = self._paces.take(asker, self._clock())
        if wait_s is None:
            raise Refusal(
                "throttled",
                f"more than {REQUESTS_PER_S_PER_ACCOUNT} requests a second, which is the limit of an account; make "
                "fewer, or wait a second",
            )
        if wait_s:
            await asyncio.sleep(wait_s)

    async def _take(self, context: RequestContext, call: Call) -> Result:
        """One turn inside its transaction."""
        request = call.request
        handler = HANDLERS[type(request)]
        group_id: str | None = None
        if permissions.LEAST_STANDING[type(request)] is not None:
            group_id = getattr(request, "group_id")  # noqa: B009 (only some of the union have it)
        present, group = await group_rows.find_standing(context.db, context.user_id, group_id)
        # Other trackers' revocations are heard of later, and this one's after its commit.
        context.generation = context.session.check_alive(present, context.now_s)
        if handler.is_change:
            remembered = await find_outcome(context.db, context.user_id, call.request_id)
            if remembered is not None:
                return remembered
        if group_id is not None:
            context.looked_up = permissions.check_standing(type(request), group_id, group)
            if context.looked_up.group_id != group_id:
                request = msgspec.structs.replace(request, group_id=context.looked_up.group_id)
        result = await handler.answer(context, request)
        if handler.is_change:
            await remember_outcome(context.db, context.user_id, call.request_id, result, context.now_s)
        return result

    def _live_session(self, connection: Connection, now_s: float) -> Session | None:
        session = connection.session
        if session is None:
            return None
        try:
            permissions.check_expiry(session.expires_at_s, now_s)
        except Refusal:
            self._state.end_session(connection)
            raise
        self._state.presence.hear(session.number, now_s)
        return session
