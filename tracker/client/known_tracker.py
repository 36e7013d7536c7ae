"""One tracker of the list, kept reachable: connects, resumes the session, announces what the client shares, sends
heartbeats, and connects again when the connection is lost.

Invariant: `has_session` is true from the moment the snapshot of what the client shares is written to the connection. So
a later change reaches the tracker after the snapshot, and an earlier one is part of it.

Not here: one connection (connection), choosing among trackers (client, asking).
"""

import asyncio
import random
import time
from collections.abc import Callable

from tracker.client.connection import TrackerConnection
from tracker.client.delegate import TrackerDelegate
from tracker.client.errors import TrackerError, TrackerLost
from tracker.client.identity import HeldIdentity, Identity
from tracker.client.promptness import Promptness
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.events import Bulletin, Event, SessionEnded
from tracker.protocol.requests import Heartbeat, Resume
from tracker.protocol.results import Alive, Announced, LoggedIn, Refused
from tracker.settings import (
    CALL_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    HEARTBEAT_S,
    RECONNECT_DELAY_MAX_S,
    RECONNECT_DELAY_MIN_S,
)

_FIRST_BEAT_S = 1.0
"""Early, since a wrong clock should be reported before the user wonders why nothing comes."""
_PROMPT_S = 5.0


class KnownTracker:
    """`trouble` says why there is no connection, while there is none. `on_change` is called when that or the session
    changes.
    """

    def __init__(
        self,
        index: int,
        address: TrackerAddress,
        authority_pem: bytes,
        delegate: TrackerDelegate,
        identity: HeldIdentity,
        on_event: Callable[[Event | Bulletin], None],
        on_change: Callable[[], None],
    ) -> None:
        self.index = index
        self.address = address
        self.connection: TrackerConnection | None = None
        self.has_session = False
        self.promptness = Promptness()
        self.trouble: TrackerError | None = None
        self._authority_pem = authority_pem
        self._delegate = delegate
        self._identity = identity
        self._on_event = on_event
        self._on_change = on_change
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Runs until cancelled."""
        delay_s = RECONNECT_DELAY_MIN_S
        while True:
            try:
                await self._live_once()
                delay_s = RECONNECT_DELAY_MIN_S
            except TrackerError as error:
                if self.connection is not None:
                    delay_s = RECONNECT_DELAY_MIN_S
                self.trouble = error
            finally:
                await self._disconnect()
            # Jitter, so that a restarted tracker does not meet all its clients in one moment.
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.0))
            delay_s = min(delay_s * 2, RECONNECT_DELAY_MAX_S)

    def wake(self) -> None:
        """The identity changed, or the session turned out to be gone."""
        self._woken.set()

    def lapse(self) -> None:
        """It did not answer in time: it is asked for a sign of life at once, and asked last until it gives one."""
        self.promptness.lapsed()
        self.wake()

    async def begin_session(self) -> None:
        """The connection is logged in now: tells the tracker what this client shares."""
        connection = self.connection
        if connection is None:
            raise TrackerLost(f"the connection to the tracker at {self.address} is gone")
        self.has_session = True
        self._on_change()
        snapshot = self._delegate.snapshot()
        answer = None if snapshot is None else await connection.call(snapshot)
        await self._delegate.on_session(self.index, answer if isinstance(answer, Announced) else None)

    async def _live_once(self) -> None:
        begun_s = time.monotonic()
        self.connection = connection = await TrackerConnection.open(
            self.address,
            self._authority_pem,
            self._hear,
            lambda reason: self.wake(),
            CONNECT_TIMEOUT_S,
        )
        self.promptness.answered(time.monotonic() - begun_s)
        self.trouble = None
        if self._identity.current is None:
            self._on_change()
        beat_in_s = _FIRST_BEAT_S
        while not connection.is_closed:
            self._woken.clear()
            identity = self._identity.current
            if self.promptness.is_lapsing:
                await self._beat(connection)
                if self.has_session:
                    await self._delegate.on_session(self.index, None)
            elif identity is None:
                self.has_session = False
                await self._woken.wait()
            elif not self.has_session:
                await self._resume(connection, identity)
            elif not await self._is_woken_within(beat_in_s) and not connection.is_busy:
                beat_in_s = HEARTBEAT_S
                await self._beat(connection)

    def _hear(self, event: Event | Bulletin) -> None:
        if isinstance(event, SessionEnded):
            # If it was ours to end, as after a change of the password, the new certificate resumes it.
            self.has_session = False
            self.wake()
        else:
            self._on_event(event)

    async def _resume(self, connection: TrackerConnection, identity: Identity) -> None:
        answer = await connection.call(Resume(identity.certificate_pem, identity.proof(connection.nonce)))
        if isinstance(answer, LoggedIn):
            self._identity.resume(identity, answer)
            await self.begin_session()
        elif isinstance(answer, Refused) and answer.code in ("session_ended", "login_failed"):
            self._identity.end(identity, answer.message)
        else:
            raise TrackerLost(f"the tracker at {self.address} did not resume the session")

    async def _beat(self, connection: TrackerConnection) -> None:
        """Without a session it is refused, which is a sign of life too."""
        asked_at_s, begun_s = time.time(), time.monotonic()
        # A call before it may take long by its nature.
        timeout_s = CALL_TIMEOUT_S if connection.is_busy else HEARTBEAT_S
        answer = await connection.call(Heartbeat(), timeout_s=timeout_s)
        self.promptness.answered(time.monotonic() - begun_s)
        now_s = time.time()
        if isinstance(answer, Refused):
            self.has_session = False
        elif isinstance(answer, Alive) and 0 <= now_s - asked_at_s < _PROMPT_S:  # not if either side slept meanwhile
            self._delegate.on_clock(self.index, now_s - answer.now_s)

    async def _is_woken_within(self, timeout_s: float) -> bool:
        try:
            async with asyncio.timeout(timeout_s):
                return await self._woken.wait()
        except TimeoutError:
            return False

    async def _disconnect(self) -> None:
        connection, self.connection, self.has_session = self.connection, None, False
        if connection is not None:
            await connection.close()
        self._on_change()
