"""One request being answered: who asks, in which transaction, and what is to happen once it is committed.

Invariant: nothing leaves the transaction before it is committed. Events and changes of the soft state are put off
with `tell` and `afterwards`, so a change that fails was never heard of.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncConnection

from tracker.handout import Handout
from tracker.keyring import Keyring
from tracker.permissions import Group
from tracker.presence import Presence
from tracker.protocol import Event


@dataclass(slots=True)
class Session:
    """A connection after its login. `number` is unique in this process, `public_key` is the client's raw Ed25519."""

    number: int
    user_id: str
    public_key: bytes
    thumbprint: bytes
    expires_at_s: float


@dataclass(slots=True, eq=False)
class Caller:
    """A connection as the service sees it. `push` hands an event to its client and never blocks."""

    nonce: bytes
    observed_host: str
    push: Callable[[Event], None]
    session: Session | None = None


class Audience:
    """Who is connected to this tracker and can be told things."""

    def __init__(self) -> None:
        self._by_user: dict[str, dict[int, Caller]] = {}
        self._by_session: dict[int, Caller] = {}

    def enter(self, caller: Caller, session: Session) -> None:
        self._by_session[session.number] = caller
        self._by_user.setdefault(session.user_id, {})[session.number] = caller

    def leave(self, session: Session) -> None:
        if self._by_session.pop(session.number, None) is not None:
            callers = self._by_user[session.user_id]
            del callers[session.number]
            if not callers:
                del self._by_user[session.user_id]

    def tell_users(self, user_ids: Iterable[str], event: Event) -> None:
        for user_id in user_ids:
            for caller in list(self._by_user.get(user_id, {}).values()):
                caller.push(event)

    def tell_session(self, number: int, event: Event) -> None:
        caller = self._by_session.get(number)
        if caller is not None:
            caller.push(event)


@dataclass(frozen=True, slots=True)
class Desk:
    """What every request may use: the soft state, the keys and chance."""

    keyring: Keyring
    presence: Presence
    handout: Handout
    audience: Audience
    chance: random.Random


@dataclass(slots=True)
class Turn:
    desk: Desk
    db: AsyncConnection
    session: Session
    observed_host: str
    now_s: float
    looked_up: Group | None = None
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    @property
    def user_id(self) -> str:
        return self.session.user_id

    @property
    def group(self) -> Group:
        """The group the request names; looked up and checked before the request's own code runs."""
        assert self.looked_up is not None, "only a request about a group has one"
        return self.looked_up

    def tell(self, user_ids: Iterable[str], event: Event) -> None:
        recipients = list(user_ids)
        self.afterwards(lambda: self.desk.audience.tell_users(recipients, event))

    def afterwards(self, effect: Callable[[], None]) -> None:
        self._afterwards.append(effect)

    def finish(self) -> None:
        """To be called once the transaction is committed."""
        for effect in self._afterwards:
            effect()
