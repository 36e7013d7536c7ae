"""What a handler is given: who asks, and how to read, change and tell things.

Most requests are answered inside one transaction and get a RequestContext. Those that hash or check a password open
their own transactions and get a LoginContext, so that no password is worked on while the database is locked.

Invariant: nothing leaves a transaction before it is committed. Events and changes of the soft state are put off with
`tell` and `afterwards`, so nobody hears of a change that fails. Every event is written down with its change, so that
the other trackers of the store hear of it too.

Not here: judging the request (dispatch).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.protocol.types import AuditAction
from tracker.rules.permissions import Generation, Group
from tracker.rules.throttle import Throttle
from tracker.service.live_sessions import Connection, Session
from tracker.service.passwords import PasswordQueue
from tracker.service.tracker_state import TrackerState
from tracker.store.audit import AuditRecord, add_record
from tracker.store.news import News, NewsEvent, write_news
from tracker.store.store import Store


class AccountChanged(Exception):
    """The account was changed after the request was judged and before it could act: it is to be judged anew.

    Undoes the change in whose transaction it is raised.
    """


@dataclass(frozen=True, slots=True)
class LoginContext:
    """For a request that opens its own transactions. It may come from a connection without a session."""

    state: TrackerState
    store: Store
    passwords: PasswordQueue
    throttle: Throttle
    clock: Callable[[], float]
    """For the transactions: the work on a password may have taken long since `now_s`."""
    connection: Connection
    request_id: bytes
    now_s: float
    """When the request's turn came."""


@dataclass(slots=True)
class RequestContext:
    """For a request that is answered inside one transaction, `db`."""

    state: TrackerState
    db: AsyncConnection
    session: Session
    observed_host: str
    now_s: float
    generation: Generation | None = None
    """The present generation of the caller's account, once the session was found to be alive."""
    looked_up: Group | None = None
    _told: list[tuple[list[str], NewsEvent]] = field(default_factory=list)
    _written: list[News] = field(default_factory=list)
    _noted: list[AuditRecord] = field(default_factory=list)
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    @property
    def user_id(self) -> str:
        return self.session.user_id

    @property
    def group(self) -> Group:
        """The group that the request names. It is looked up and judged before the handler runs."""
        assert self.looked_up is not None, "only a request about a group has one"
        return self.looked_up

    def tell(self, user_ids: Iterable[str], event: NewsEvent) -> None:
        """Tells every session of these accounts, whichever tracker it is connected to. In a change only."""
        self._told.append((list(user_ids), event))

    def note(self, action: AuditAction, group_id: str = "", subject: str = "") -> None:
        """Writes to the audit log that the caller did this. In a change only."""
        self._noted.append(AuditRecord(self.now_s, self.observed_host, self.user_id, action, group_id, subject))

    def afterwards(self, effect: Callable[[], None]) -> None:
        self._afterwards.append(effect)

    async def write_down(self) -> None:
        """Writes what was told and noted. To be called at the end of the transaction."""
        for record in self._noted:
            await add_record(self.db, record)
        for recipients, event in self._told:
            self._written.append(await write_news(self.db, self.state.origin, recipients, event, self.now_s))

    def finish(self) -> None:
        """To be called once the transaction is committed."""
        for news in self._written:
            self.state.deliver(news)
        for effect in self._afterwards:
            effect()
