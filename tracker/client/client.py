"""A client of all trackers of a list: it keeps a session with each, and a call goes to the first that answers.

Every tracker tells the event of a change to its clients, so a client hears it from each; it is passed on once. A
PeerJoined is of one tracker alone, and may come from several.

Invariants. A call that moves on to another tracker keeps its request id, so it is carried out once. Nothing waits for a
tracker that hangs while another answers (asking). A password goes to a tracker only over a verified connection and is
not kept: other sessions are resumed with the certificate and its key.

Not here: what the client shares (its TrackerDelegate says that), what a call is for (the engine).
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tracker.client.asking import Answer, Ask, first_answer, takes_long
from tracker.client.delegate import TrackerDelegate
from tracker.client.errors import NoTracker, TrackerLost, TrackerRefused, TrackersSilent, UntrustedTracker
from tracker.client.identity import HeldIdentity, Identity
from tracker.client.known_tracker import KnownTracker
from tracker.client.promptness import PATIENCE_MAX_S
from tracker.protocol.addresses import TrackerAddress
from tracker.protocol.events import Bulletin, Event, TicketKeys
from tracker.protocol.requests import (
    BEFORE_LOGIN,
    Announce,
    AnnounceChange,
    ChangePassword,
    Login,
    Logout,
    Renew,
    Request,
    RevokeSessions,
    login_challenge,
)
from tracker.protocol.results import Announced, LoggedIn, Refused, Result
from tracker.settings import CALL_TIMEOUT_S, NO_TRACKER_GRACE_S

_RENEW_AGAIN_S = 60.0
_ANNOUNCE_S = 3.0
"""How long the first answer to an announcement is waited for. Later ones go to the delegate."""
_FAREWELL_S = 1.0
"""How long a logout waits for a tracker; one that hangs finds the logout in its socket when it goes on."""
_HEARD_MAX = 1000
"""Bulletins that are remembered, so that the same one from another tracker is not passed on again."""


class TrackerClient:
    """`identity` is None until `login` succeeds and after the session is over."""

    def __init__(self, addresses: Sequence[TrackerAddress], authority_pem: bytes, delegate: TrackerDelegate) -> None:
        self._identity = HeldIdentity(self._on_identity)
        self._delegate = delegate
        self._heard: deque[Bulletin] = deque(maxlen=_HEARD_MAX)
        self._trackers = [
            KnownTracker(
                index,
                address,
                authority_pem,
                delegate,
                self._identity,
                self._on_event,
                self._wake_callers,
            )
            for index, address in enumerate(addresses)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._renewal: asyncio.Task[None] | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()

    @property
    def identity(self) -> Identity | None:
        return self._identity.current

    async def start(self) -> None:
        """Begins to connect. If no tracker answers, the first call says so."""
        self._tasks = [asyncio.create_task(tracker.run()) for tracker in self._trackers]

    async def close(self) -> None:
        tasks = [*self._tasks, *self._late, *([self._renewal] if self._renewal else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def call(
        self, request: Request, request_id: bytes | None = None, timeout_s: float = CALL_TIMEOUT_S
    ) -> Result:
        """The answer of the first tracker that gives one. Raises TrackerRefused, NoTracker or UntrustedTracker."""
        request_id = request_id or secrets.token_bytes(16)
        needs_session = type(request) not in BEFORE_LOGIN
        return await self._ask(
            lambda tracker: self._call_on(tracker, request, request_id, timeout_s),
            lambda: self._usable_trackers(needs_session=needs_session),
            is_long=takes_long(request),
        )

    async def login(self, user_id: str, password: str, private_key: Ed25519PrivateKey) -> LoggedIn:
        """Logs in on one tracker, then resumes on the others in the background. Raises like `call`."""
        public_key = private_key.public_key().public_bytes_raw()

        async def ask(tracker: KnownTracker) -> tuple[KnownTracker, Result]:
            if tracker.connection is None:
                raise _lost(tracker)
            # Signed anew for each tracker: the proof is bound to the connection.
            proof = private_key.sign(login_challenge(tracker.connection.nonce, user_id))
            request = Login(user_id, password, public_key, proof)
            return tracker, await self._call_on(tracker, request, secrets.token_bytes(16), CALL_TIMEOUT_S)

        tracker, answer = await self._ask(ask, lambda: self._usable_trackers(needs_session=False), is_long=True)
        assert isinstance(answer, LoggedIn)
        await self._take_identity(tracker, private_key, answer)
        return answer

    async def revoke_others(self, request: ChangePassword | RevokeSessions) -> None:
        """Ends every other session of the account. This one goes on with a new certificate. Raises like `call`."""
        identity = self.identity
        answer = await self.call(request)
        assert isinstance(answer, LoggedIn)
        if identity is not None:
            self._identity.renew(identity, answer)

    async def logout(self) -> None:
        """Ends the session on every tracker that is connected. The certificate is forgotten here in any case."""
        if self._renewal is not None:
            self._renewal.cancel()
        self._identity.forget()
        await self._on_all_sessions(Logout(), _FAREWELL_S)
        for tracker in self._trackers:
            tracker.wake()

    async def announce_all(self, message: Announce | AnnounceChange) -> list[Announced]:
        """The answers of the trackers that answer in time. The delegate hears late ones; a tracker that is not
        connected gets the delegate's snapshot once it is back.
        """
        is_hopeful = any(tracker.has_session and not tracker.promptness.is_lapsing for tracker in self._trackers)
        answers = await self._on_all_sessions(message, _ANNOUNCE_S if is_hopeful else PATIENCE_MAX_S)
        return [answer for answer in answers if isinstance(answer, Announced)]

    def count_sessions(self) -> int:
        """How many trackers know this client right now."""
        return sum(tracker.has_session for tracker in self._trackers)

    async def _ask(self, ask: Ask[Answer], find_trackers: Callable[[], list[KnownTracker]], *, is_long: bool) -> Answer:
        """Until one answers, or none has been connected for a while."""
        give_up_at_s: float | None = None
        while True:
            change = self._change
            try:
                return await first_answer(find_trackers, ask, is_long=is_long)
            except TrackersSilent:
                raise self._explain_silence(was_asked=True) from None
            except TrackerLost:
                pass
            give_up_at_s = give_up_at_s or time.monotonic() + NO_TRACKER_GRACE_S
            await self._wait_for(change, give_up_at_s)

    async def _call_on(self, tracker: KnownTracker, request: Request, request_id: bytes, timeout_s: float) -> Result:
        connection = tracker.connection
        if connection is None:
            raise _lost(tracker)
        begun_s = time.monotonic()
        answer = await connection.call(request, request_id, timeout_s)
        if not takes_long(request):
            tracker.promptness.answered(time.monotonic() - begun_s)
        if not isinstance(answer, Refused):
            return answer
        if answer.code in ("session_ended", "not_logged_in") and self.identity is not None:
            # This tracker forgot the session; the tracker resumes it, and the caller tries again meanwhile.
            tracker.has_session = False
            tracker.wake()
            raise TrackerLost(answer.message)
        raise TrackerRefused(answer.code, answer.message)

    def _usable_trackers(self, *, needs_session: bool) -> list[KnownTracker]:
        """Connected ones. Those that did not answer their last call in time come last."""
        needs_session = needs_session and self.identity is not None
        usable = [
            tracker
            for tracker in self._trackers
            if tracker.connection is not None
            and not tracker.connection.is_closed
            and (tracker.has_session or not needs_session)
        ]
        return sorted(usable, key=lambda tracker: tracker.promptness.is_lapsing)

    async def _wait_for(self, change: asyncio.Event, give_up_at_s: float) -> None:
        try:
            async with asyncio.timeout(give_up_at_s - time.monotonic()):
                await change.wait()
        except TimeoutError:
            raise self._explain_silence(was_asked=False) from None

    def _explain_silence(self, *, was_asked: bool) -> NoTracker | UntrustedTracker:
        """`was_asked`: a tracker that hangs has been sent the request."""
        for tracker in self._trackers:
            if isinstance(tracker.trouble, UntrustedTracker):
                return tracker.trouble
        tried = ", ".join(str(tracker.address) for tracker in self._trackers)
        reasons = "; ".join(str(tracker.trouble) for tracker in self._trackers if tracker.trouble is not None)
        if was_asked:
            advice = "It hangs, or the network does; what was asked may still be done when that is over"
        else:
            advice = "Start one with `python -m tracker tracker_info.txt 1`, or correct the addresses"
        return NoTracker(
            f"no tracker answers (tried {tried}){': ' if reasons else ''}{reasons}. {advice}; downloads go on meanwhile"
        )

    def _wake_callers(self) -> None:
        self._change.set()
        self._change = asyncio.Event()

    async def _take_identity(self, tracker: KnownTracker, private_key: Ed25519PrivateKey, answer: LoggedIn) -> None:
        self._identity.begin(private_key, answer)
        self._renewal = asyncio.create_task(self._renew_for_ever())
        # If it is lost just now, it was a login all the same: this tracker resumes like the others.
        try:
            async with asyncio.timeout(tracker.promptness.patience_s):
                await tracker.begin_session()
        except TimeoutError:
            tracker.lapse()
        except TrackerLost:
            pass
        for each in self._trackers:
            each.wake()

    def _on_identity(self, identity: Identity | None, reason: str) -> None:
        if identity is None:
            if self._renewal is not None:
                self._renewal.cancel()
            for tracker in self._trackers:
                tracker.wake()
            self._wake_callers()
        self._delegate.on_identity(identity, reason)

    async def _renew_for_ever(self) -> None:
        while self.identity is not None:
            half_life_s = (self.identity.expires_at_s - time.time()) / 2
            await asyncio.sleep(max(half_life_s, _RENEW_AGAIN_S))
            # On every session: each tracker ends one by the certificate it last saw.
            identity = self.identity
            for answer in await self._on_all_sessions(Renew()):
                if isinstance(answer, LoggedIn):
                    self._identity.renew(identity, answer)
                    break

    def _on_event(self, event: Event | Bulletin) -> None:
        if isinstance(event, TicketKeys):
            self._identity.take_keys(event.keys)
        elif not isinstance(event, Bulletin):
            self._delegate.on_event(event)
        elif event not in self._heard:
            self._heard.append(event)
            self._delegate.on_event(event.event)

    async def _on_all_sessions(self, request: Request, timeout_s: float = CALL_TIMEOUT_S) -> list[Result]:
        """The answers that come in time: once one has come, the other trackers have as long as they usually take."""
        calls = {
            asyncio.create_task(self._call_quietly(tracker, request)): tracker
            for tracker in self._trackers
            if tracker.has_session and tracker.connection is not None
        }
        prompt = {task for task, tracker in calls.items() if not tracker.promptness.is_lapsing} or set(calls)
        if not calls:
            return []
        _, waited_for = await asyncio.wait(prompt, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if waited_for:
            patience_s = max(calls[task].promptness.patience_s for task in waited_for)
            await asyncio.wait(waited_for, timeout=min(patience_s, timeout_s))
        for task, tracker in calls.items():
            if not task.done():
                tracker.lapse()
                late = asyncio.create_task(self._hear_late(task, tracker))
                self._late.add(late)
                late.add_done_callback(self._late.discard)
        return [answer for task in calls if task.done() and (answer := task.result()) is not None]

    async def _call_quietly(self, tracker: KnownTracker, request: Request) -> Result | None:
        """None if the tracker is lost."""
        if tracker.connection is None:
            return None
        begun_s = time.monotonic()
        try:
            answer = await tracker.connection.call(request)
        except TrackerLost:
            return None
        tracker.promptness.answered(time.monotonic() - begun_s)
        return answer

    async def _hear_late(self, call: asyncio.Task[Result | None], tracker: KnownTracker) -> None:
        answer = await call
        if isinstance(answer, Announced):
            await self._delegate.on_session(tracker.index, answer)


def _lost(tracker: KnownTracker) -> TrackerLost:
    return TrackerLost(f"the connection to the tracker at {tracker.address} is gone")
