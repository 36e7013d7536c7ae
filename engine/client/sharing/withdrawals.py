"""Ending a share: serving stops at once, then the trackers are asked whether the name leaves the group's list.

A request that no tracker answered is kept in the ledger as a withdrawal and sent when a tracker answers, also after a
restart. It names the content, so it never withdraws another content that got the name meanwhile. Sharing the file again
cancels it.

Invariant: when a share is gone from the ledger, the tracker knows it or a withdrawal is in the ledger.
Not here: who may withdraw a name, and when (the tracker), what is served (shares).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from engine.client.events import Event, ShareWithdrawn
from engine.client.session import TrackerSession
from engine.client.sharing.shares import Shares
from engine.client.spellings import Key, find_key, shown_id
from engine.errors import LocalError, RefusedByTracker, ShoalError
from engine.reports import StopReport
from engine.storage.ledger import Ledger, Withdrawal
from tracker.protocol import requests, results

_STOPPED = "not shared here any more"
_OVER = frozenset({"no_such_file", "no_such_group", "not_member"})
"""Codes of refusals after which there is nothing left to withdraw."""
_AGAIN_S, _AGAIN_MAX_S = 5.0, 60.0


class Withdrawals:
    """Of the account that is logged in."""

    def __init__(self, ledger: Ledger, session: TrackerSession, shares: Shares, tell: Callable[[Event], None]) -> None:
        self._ledger, self._session, self._shares, self._tell = ledger, session, shares, tell
        self._woken = asyncio.Event()
        self._saying = asyncio.Lock()
        self._is_running = False
        self._later: asyncio.Task[None] | None = None

    async def stop(self, key: Key) -> StopReport:
        """End a share, or free a name that this client does not share. Raises ShoalError if nothing could be ended."""
        root = self._shares.roots().get(key)
        if root is None:
            return await self._free(key)
        me, withdrawal = self._user_id, Withdrawal(*key, root)
        self._ledger.keep_withdrawal(me, withdrawal)
        removing = asyncio.create_task(self._shares.remove(*key, _STOPPED))
        try:
            if self._is_running:  # there are others that no tracker takes: it goes with them
                self._woken.set()
                return _pending(key)
            async with self._saying:
                return await self._withdraw(key, withdrawal)
        finally:
            await removing
            if not self._is_running and withdrawal in self._ledger.withdrawals_of(me):
                self._later = asyncio.create_task(self.say(_AGAIN_S))

    @contextlib.asynccontextmanager
    async def held_back(self, key: Key) -> AsyncIterator[None]:
        """While a file is published under this name, no kept withdrawal of the name is sent."""
        pending = [(each.group_id, each.name) for each in self._ledger.withdrawals_of(self._user_id)]
        async with self._saying if find_key(key, pending) in pending else contextlib.nullcontext():
            yield

    async def say(self, begins_in_s: float = 0.0) -> None:
        """Send the kept withdrawals until all are answered. Call it when a session with a tracker begins, and when a
        tracker answers again.
        """
        self._woken.set()
        if self._is_running:
            return
        self._is_running, delay_s = True, _AGAIN_S
        try:
            if begins_in_s:
                self._woken.clear()
                await self._wait(begins_in_s)
            while self._session.user_id is not None and self._ledger.withdrawals_of(self._user_id):
                self._woken.clear()
                if not await self._say_each():
                    delay_s = await self._wait(delay_s)
        finally:
            self._is_running = False

    async def close(self) -> None:
        """The next session sends what is left."""
        if self._later is not None:
            self._later.cancel()
            await asyncio.gather(self._later, return_exceptions=True)

    @property
    def _user_id(self) -> str:
        user_id = self._session.user_id
        if user_id is None:
            raise LocalError("you are not logged in; use login first", "not_logged_in")
        return user_id

    async def _withdraw(self, key: Key, withdrawal: Withdrawal) -> StopReport:
        """Withdraw the name of a share that just ended."""
        me = self._user_id
        if withdrawal not in self._ledger.withdrawals_of(me):
            return StopReport(*key, is_removed=False)  # shared again meanwhile
        try:
            answer = await self._session.call(requests.Withdraw(*key, withdrawal.root), results.Withdrawn)
        except ShoalError as error:
            if error.code not in _OVER:
                return _pending(key)
            answer = results.Withdrawn(False)
        self._ledger.drop_withdrawal(me, *key)
        holders = answer.still_shared_by
        others = [one for one in holders if one != me]
        return StopReport(*key, answer.is_removed, still_shared_by=others, is_shared_elsewhere=me in holders)

    async def _free(self, key: Key) -> StopReport:
        """Withdraw a name that this client does not share. For its publisher and the group's owner."""
        answer = await self._session.call(requests.Withdraw(*key), results.Withdrawn)
        group_id, name = key
        if answer.may_withdraw:
            who = " or ".join(map(shown_id, answer.may_withdraw))
            raise LocalError(
                f"this client does not share {name!r} in {group_id}, and the name is not yours to free: {who} can "
                "withdraw it, once nobody shares it",
                "not_shared",
            )
        if not answer.is_removed:
            me = self._session.user_id
            others = answer.still_shared_by
            who = " and ".join("another client of yours" if one == me else shown_id(one) for one in others)
            raise LocalError(
                f"this client does not share {name!r} in {group_id}, but {who} still {_does(answer, 'share')}, so it "
                "stays in the group's list",
                "still_shared",
            )
        return StopReport(*key, is_removed=True, was_shared=False)

    async def _say_each(self) -> bool:
        """Whether all of them were answered."""
        user_id = self._user_id
        for each in self._ledger.withdrawals_of(user_id):
            async with self._saying:
                is_wanted = each in self._ledger.withdrawals_of(user_id)
                if is_wanted and not await self._say_one(user_id, each):
                    return False
        return True

    async def _say_one(self, user_id: str, withdrawal: Withdrawal) -> bool:
        group_id, name = withdrawal.group_id, withdrawal.name
        try:
            request = requests.Withdraw(group_id, name, withdrawal.root)
            answer = await self._session.call(request, results.Withdrawn)
        except RefusedByTracker as refusal:
            if refusal.code not in _OVER:
                return False
            answer = results.Withdrawn(False)
        except ShoalError:
            return False
        self._ledger.drop_withdrawal(user_id, group_id, name)
        if answer.is_removed:
            self._tell(ShareWithdrawn(name, group_id))
        return True

    async def _wait(self, delay_s: float) -> float:
        """For so long, or until a tracker is back. Returns the next delay."""
        try:
            async with asyncio.timeout(delay_s):
                await self._woken.wait()
        except TimeoutError:
            pass
        return min(2 * delay_s, _AGAIN_MAX_S)


def _pending(key: Key) -> StopReport:
    return StopReport(*key, is_removed=False, is_pending=True)


def _does(answer: results.Withdrawn, verb: str) -> str:
    return f"{verb}s it" if len(answer.still_shared_by) == 1 else f"{verb} it"
