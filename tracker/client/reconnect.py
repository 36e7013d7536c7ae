"""Keeps one tracker reachable: connects, resumes the session, announces, sends heartbeats, and starts over when lost.

Invariant: a link says `has_session` from the moment its snapshot of what the client shares is written, in that
order on the wire. So a later change reaches the tracker after the snapshot, and one before is in it.

Not here: choosing among trackers (client).
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from tracker.client.connection import TrackerConnection
from tracker.client.errors import TrackerError, TrackerLost
from tracker.client.promptness import Promptness
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.events import Bulletin, Event, SessionEnded
from tracker.protocol.requests import Announce, Heartbeat, Resume, login_challenge
from tracker.protocol.results import Alive, Announced, LoggedIn, Refused
from tracker.protocol.types import TrustedKey
from tracker.settings import (
    CALL_TIMEOUT_S,
    CONNECT_TIMEOUT_S,
    HEARTBEAT_S,
    RECONNECT_DELAY_MAX_S,
    RECONNECT_DELAY_MIN_S,
)

_FIRST_BEAT_S = 1.0
"""A clock that is wrong is to be known before the user wonders why nothing comes."""
_PROMPT_S = 5.0


class Identity(Struct, frozen=True):
    """Who this client is, once logged in: what it shows to trackers and to peers."""

    user_id: str
    private_key: Ed25519PrivateKey
    certificate_pem: bytes
    expires_at_s: float
    ticket_keys: dict[str, TrustedKey]

    def proof(self, nonce: bytes) -> bytes:
        return self.private_key.sign(login_challenge(nonce, self.user_id))


class Listener(Protocol):
    """What the owner of a TrackerClient wants to hear, and is asked for. Called on the event loop; must not raise."""

    def snapshot(self) -> Announce | None:
        """Everything shared right now; None while nothing can be served yet."""

    def on_event(self, event: Event) -> None:
        """A tracker said something unasked. What changes told comes once; a PeerJoined may come from every tracker."""

    async def on_session(self, tracker_index: int, announced: Announced | None) -> None:
        """There is a session with that tracker, and this is its answer to the snapshot, or a late one to a change; None
        also when it answers again after it let a call lapse.
        """

    def on_identity(self, identity: Identity | None, reason: str) -> None:
        """The certificate was renewed, or (None) the session is over and somebody has to log in; `reason` says why."""

    def on_clock(self, tracker_index: int, ahead_s: float) -> None:
        """How far this machine's clock is ahead of that tracker's, to within seconds; told again and again."""


class TrackerLink:
    """`trouble` is why there is no connection, while there is none. `changed` is called after every change of state."""

    def __init__(
        self,
        index: int,
        address: TrackerAddress,
        authority_pem: bytes,
        listener: Listener,
        find_identity: Callable[[], Identity | None],
        end_identity: Callable[[Identity, str], None],
        resumed: Callable[[Identity, LoggedIn], None],
        heard: Callable[[Event | Bulletin], None],
        changed: Callable[[], None],
    ) -> None:
        self.index = index
        self.address = address
        self.connection: TrackerConnection | None = None
        self.has_session = False
        self.promptness = Promptness()
        self.trouble: TrackerError | None = None
        self._authority_pem = authority_pem
        self._listener = listener
        self._find_identity = find_identity
        self._end_identity = end_identity
        self._resumed = resumed
        self._heard = heard
        self._changed = changed
        self._woken = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled."""
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
        """It let a call lapse: it is asked for a sign of life at once, and until it gives one it is asked last."""
        self.promptness.lapsed()
        self.wake()

    async def begin_session(self) -> None:
        """The connection is logged in now: tells the tracker what this client shares."""
        connection = self.connection
        if connection is None:
            raise TrackerLost(f"the connection to the tracker at {self.address} is gone")
        self.has_session = True
        self._changed()
        snapshot = self._listener.snapshot()
        answer = None if snapshot is None else await connection.call(snapshot)
        await self._listener.on_session(self.index, answer if isinstance(answer, Announced) else None)

    async def _live_once(self) -> None:
        begun_s = time.monotonic()
        self.connection = connection = await TrackerConnection.open(
            self.address,
            self._authority_pem,
            self._on_event,
            lambda reason: self.wake(),
            CONNECT_TIMEOUT_S,
        )
        self.promptness.answered(time.monotonic() - begun_s)
        self.trouble = None
        if self._find_identity() is None:
            self._changed()
        beat_in_s = _FIRST_BEAT_S
        while not connection.is_closed:
            self._woken.clear()
            identity = self._find_identity()
            if self.promptness.is_lapsing:
                await self._beat(connection)
                if self.has_session:
                    await self._listener.on_session(self.index, None)
            elif identity is None:
                self.has_session = False
                await self._woken.wait()
            elif not self.has_session:
                await self._resume(connection, identity)
            elif not await self._is_woken_within(beat_in_s) and not connection.is_busy:
                beat_in_s = HEARTBEAT_S
                await self._beat(connection)

    def _on_event(self, event: Event | Bulletin) -> None:
        if isinstance(event, SessionEnded):
            # If it was ours to end, as after a change of the password, the new certificate resumes it.
            self.has_session = False
            self.wake()
        else:
            self._heard(event)

    async def _resume(self, connection: TrackerConnection, identity: Identity) -> None:
        answer = await connection.call(Resume(identity.certificate_pem, identity.proof(connection.nonce)))
        if isinstance(answer, LoggedIn):
            self._resumed(identity, answer)
            await self.begin_session()
        elif isinstance(answer, Refused) and answer.code in ("session_ended", "login_failed"):
            self._end_identity(identity, answer.message)
        else:
            raise TrackerLost(f"the tracker at {self.address} did not resume the session")

    async def _beat(self, connection: TrackerConnection) -> None:
        """A stranger is refused, which is a sign of life too."""
        asked_at_s, begun_s = time.time(), time.monotonic()
        # A call before it may take long by its nature.
        timeout_s = CALL_TIMEOUT_S if connection.is_busy else HEARTBEAT_S
        answer = await connection.call(Heartbeat(), timeout_s=timeout_s)
        self.promptness.answered(time.monotonic() - begun_s)
        now_s = time.time()
        if isinstance(answer, Refused):
            self.has_session = False
        elif isinstance(answer, Alive) and 0 <= now_s - asked_at_s < _PROMPT_S:  # not if either side slept meanwhile
            self._listener.on_clock(self.index, now_s - answer.now_s)

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
        self._changed()
