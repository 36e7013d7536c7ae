"""Answers requests: finds the handler, judges whether the caller may use it, runs it and keeps the outcome.

Invariants. Denied by default: a request without a handler, or one that `permissions` refuses, changes nothing and tells
nobody. A handler runs in the transaction in which its caller was judged. A change and its outcome are committed
together, so a retry never runs it twice. Soft state changes, and events go out, after the commit.

Not here: what a request does (its handler, in accounts, files, groups, name_rights, sessions and swarm), sockets
(server), SQL (store).
"""

import asyncio
import logging
import random
import secrets
from collections.abc import Callable

import msgspec
from sqlalchemy.exc import SQLAlchemyError

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
from tracker.service import accounts, files, groups, name_rights, sessions, swarm
from tracker.service.context import AccountChanged, LoginContext, RequestContext
from tracker.service.handlers import Handler, OwnTransactionsHandler, collect
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

_TRIES_MAX = 3
"""Of one request. Each further one is made because the account was changed while its password was being checked."""

HANDLERS = collect((accounts, files, groups, name_rights, sessions, swarm))


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
        """Returns the result of a request, which may be a refusal. An exception means a bug or a broken store."""
        try:
            return await self._answer_until_settled(connection, call)
        except Refusal as refusal:
            return Refused(refusal.code, refusal.message)
        except BadName as error:
            return Refused("bad_name", str(error))
        except PasswordQueueFull:
            return Refused("busy", "too many people are logging in at once; try again in a few seconds")

    def hang_up(self, connection: Connection) -> None:
        """The connection is gone; its client shares nothing any more."""
        self._state.end_session(connection)

    async def catch_up(self) -> None:
        """Reads the news from before this tracker ran. To be called before the first connection."""
        async with self._store.reading() as db:
            for news in await read_news(db, 0):
                self._last_news = news.number
                self._state.recent_news.append(news)

    async def hear_news(self) -> None:
        """Delivers what other trackers of this store changed since the last time."""
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
        """Runs until cancelled."""
        while True:
            await asyncio.sleep(NEWS_POLL_S)
            try:
                await self.hear_news()
            except SQLAlchemyError as error:
                _log.error("the database failed: %s", getattr(error, "orig", None) or type(error).__name__)

    def is_forgotten(self, connection: Connection) -> bool:
        """Whether this connection had a session that expired since, or that goes on in a newer connection."""
        return connection.session is not None and not self._state.presence.is_online(connection.session.number)

    def sweep(self) -> None:
        """Forgets sessions that were silent for too long."""
        now_s = self._clock()
        self._state.presence.expire(now_s)
        self._state.handout.sweep(self._state.presence.is_shared, now_s)

    async def _answer_until_settled(self, connection: Connection, call: Call) -> Result:
        await self._wait_for_turn(connection)
        for _ in range(_TRIES_MAX):
            try:
                return await self._answer_once(connection, call)
            except AccountChanged:
                continue
        raise Refusal("busy", "this account is being changed again and again; try again in a few seconds")

    async def _answer_once(self, connection: Connection, call: Call) -> Result:
        """Raises Refusal and AccountChanged."""
        request, now_s = call.request, self._clock()
        session = self._live_session(connection, now_s)
        handler = HANDLERS.get(type(request))
        if handler is None:
            raise Refusal("bad_request", "this tracker does not know that request")
        permissions.check_session(type(request), session is not None)
        if isinstance(handler, OwnTransactionsHandler):
            context = LoginContext(
                self._state, self._store, self._passwords, self._throttle, self._clock,
                connection, call.request_id, now_s,
            )  # fmt: skip
            return await handler.answer(context, request)
        assert session is not None, "check_session let a stranger through"
        return await self._answer_in_transaction(handler, session, connection.observed_host, call)

    async def _wait_for_turn(self, connection: Connection) -> None:
        """Slows down an account that asks too fast. This comes before anything is looked up, since that may change
        meanwhile. Raises Refusal.
        """
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

    async def _answer_in_transaction(self, handler: Handler, session: Session, host: str, call: Call) -> Result:
        async with self._store.changing() if handler.is_change else self._store.reading() as db:
            # A change may have waited for long, so this is the time it is judged by.
            context = RequestContext(self._state, db, session, host, self._clock())
            result = await self._judge_and_act(handler, context, call)
            await context.write_down()
        context.finish()
        return result

    async def _judge_and_act(self, handler: Handler, context: RequestContext, call: Call) -> Result:
        request = call.request
        group_id: str | None = None
        if handler.least_standing is not None:
            group_id = getattr(request, "group_id")  # noqa: B009 (only some of the union have it)
        present, group = await group_rows.find_standing(context.db, context.user_id, group_id)
        # Other trackers' revocations are heard of later, and this one's after its commit.
        context.generation = context.session.check_alive(present, context.now_s)
        if handler.is_change:
            remembered = await find_outcome(context.db, context.user_id, call.request_id)
            if remembered is not None:
                return remembered
        if handler.least_standing is not None and group_id is not None:
            context.looked_up = permissions.check_standing(handler.least_standing, group_id, group)
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
