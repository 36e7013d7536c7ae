"""A client of all trackers of a list: a session with every one, each call to the first that answers.

Invariants. A call that moves on to another tracker keeps its request id, so it is carried out once. Nothing waits for a
tracker that hangs while another answers (asking). A password goes
to a tracker only over a verified connection and is not kept: sessions elsewhere and later are resumed with the
certificate and its key.

What a change told is told by every tracker and passed on once; a PeerJoined may come from each. Not here: what the
client shares (its Listener says that).
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace

from tracker.client.asking import Answer, Ask, find_authority, first_answer, takes_long
from tracker.client.errors import NoTracker, TrackerLost, TrackerRefused, TrackersSilent, UntrustedTracker
from tracker.client.promptness import PATIENCE_MAX_S
from tracker.client.reconnect import Identity, Listener, TrackerLink
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
from tracker.protocol.types import TrustedKey
from tracker.settings import CALL_TIMEOUT_S, NO_TRACKER_GRACE_S

__all__ = ["Identity", "Listener", "TrackerClient", "find_authority"]

_RENEW_AGAIN_S = 60.0
_ANNOUNCE_S = 3.0
"""For the first answer to an announcement. Whoever answers later is heard all the same."""
_FAREWELL_S = 1.0
"""A tracker that does not answer a logout hears it when it answers again."""
_HEARD_MAX = 1000
"""Bulletins remembered, so that the same from another tracker is not passed on again."""


class TrackerClient:
    """`identity` is None until `login` succeeds and after the session is over."""

    def __init__(
        self, addresses: Sequence[TrackerAddress], authority_pem: bytes, listener: Listener
    ) -> None:
        self.identity: Identity | None = None
        self._listener = listener
        self._heard: deque[Bulletin] = deque(maxlen=_HEARD_MAX)
        self._links = [
            TrackerLink(
                index,
                address,
                authority_pem,
                listener,
                lambda: self.identity,
                self._end_identity,
                self._on_resumed,
                self._on_event,
                self._wake_callers,
            )
            for index, address in enumerate(addresses)
        ]
        self._tasks: list[asyncio.Task[None]] = []
        self._renewal: asyncio.Task[None] | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._change = asyncio.Event()

    async def start(self) -> None:
        """Begins to connect. Whether any tracker answers, the first call will tell."""
        self._tasks = [asyncio.create_task(link.run()) for link in self._links]

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
            lambda link: self._call_on(link, request, request_id, timeout_s),
            lambda: self._usable_links(needs_session=needs_session),
            is_long=takes_long(request),
        )

    async def login(self, user_id: str, password: str, private_key: Ed25519PrivateKey) -> LoggedIn:
        """Logs in on one tracker, then resumes on the others in the background. Raises like `call`."""
        public_key = private_key.public_key().public_bytes_raw()

        async def ask(link: TrackerLink) -> tuple[TrackerLink, Result]:
            if link.connection is None:
                raise _lost(link)
            # Signed anew for each tracker: the proof is bound to the connection.
            proof = private_key.sign(login_challenge(link.connection.nonce, user_id))
            request = Login(user_id, password, public_key, proof)
            return link, await self._call_on(link, request, secrets.token_bytes(16), CALL_TIMEOUT_S)

        link, answer = await self._ask(ask, lambda: self._usable_links(needs_session=False), is_long=True)
        assert isinstance(answer, LoggedIn)
        await self._take_identity(link, private_key, answer)
        return answer

    async def revoke_others(self, request: ChangePassword | RevokeSessions) -> None:
        """End every other session of the account; this one goes on with a new certificate. Raises like `call`."""
        identity = self.identity
        answer = await self.call(request)
        assert isinstance(answer, LoggedIn)
        if identity is not None:
            self._take_renewal(identity, answer)

    async def logout(self) -> None:
        """Ends the session on every tracker that is connected. The certificate is forgotten here in any case."""
        if self._renewal is not None:
            self._renewal.cancel()
        self.identity = None
        await self._on_all_sessions(Logout(), _FAREWELL_S)
        for link in self._links:
            link.wake()

    async def announce_all(self, message: Announce | AnnounceChange) -> list[Announced]:
        """What each connected tracker said to it. Others get the listener's snapshot once they are back; the listener
        hears what those say that answer late.
        """
        is_hopeful = any(link.has_session and not link.promptness.is_lapsing for link in self._links)
        answers = await self._on_all_sessions(message, _ANNOUNCE_S if is_hopeful else PATIENCE_MAX_S)
        return [answer for answer in answers if isinstance(answer, Announced)]

    def count_sessions(self) -> int:
        """How many trackers know this client right now."""
        return sum(link.has_session for link in self._links)

    async def _ask(self, ask: Ask[Answer], find_links: Callable[[], list[TrackerLink]], *, is_long: bool) -> Answer:
        """Until somebody answers, or nobody has been there for a while."""
        give_up_at_s: float | None = None
        while True:
            change = self._change
            try:
                return await first_answer(find_links, ask, is_long=is_long)
            except TrackersSilent:
                raise self._explain_silence(was_asked=True) from None
            except TrackerLost:
                pass
            give_up_at_s = give_up_at_s or time.monotonic() + NO_TRACKER_GRACE_S
            await self._wait_for(change, give_up_at_s)

    async def _call_on(self, link: TrackerLink, request: Request, request_id: bytes, timeout_s: float) -> Result:
        connection = link.connection
        if connection is None:
            raise _lost(link)
        begun_s = time.monotonic()
        answer = await connection.call(request, request_id, timeout_s)
        if not takes_long(request):
            link.promptness.answered(time.monotonic() - begun_s)
        if not isinstance(answer, Refused):
            return answer
        if answer.code in ("session_ended", "not_logged_in") and self.identity is not None:
            # This tracker forgot the session; the link resumes it, and the caller tries again meanwhile.
            link.has_session = False
            link.wake()
            raise TrackerLost(answer.message)
        raise TrackerRefused(answer.code, answer.message)

    def _usable_links(self, *, needs_session: bool) -> list[TrackerLink]:
        """Those that let calls lapse come last."""
        needs_session = needs_session and self.identity is not None
        usable = [
            link
            for link in self._links
            if link.connection is not None
            and not link.connection.is_closed
            and (link.has_session or not needs_session)
        ]
        return sorted(usable, key=lambda link: link.promptness.is_lapsing)

    async def _wait_for(self, change: asyncio.Event, give_up_at_s: float) -> None:
        try:
            async with asyncio.timeout(give_up_at_s - time.monotonic()):
                await change.wait()
        except TimeoutError:
            raise self._explain_silence(was_asked=False) from None

    def _explain_silence(self, *, was_asked: bool) -> NoTracker | UntrustedTracker:
        """`was_asked`: the request is on its way to somebody, who hangs."""
        for link in self._links:
            if isinstance(link.trouble, UntrustedTracker):
                return link.trouble
        tried = ", ".join(str(link.address) for link in self._links)
        reasons = "; ".join(str(link.trouble) for link in self._links if link.trouble is not None)
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

    async def _take_identity(self, link: TrackerLink, private_key: Ed25519PrivateKey, answer: LoggedIn) -> None:
        self.identity = Identity(
            answer.user_id, private_key, answer.certificate_pem, answer.expires_at_s, answer.ticket_keys
        )
        self._renewal = asyncio.create_task(self._renew_for_ever())
        # If it is lost just now, it was a login all the same: this link resumes like the others.
        try:
            async with asyncio.timeout(link.promptness.patience_s):
                await link.begin_session()
        except TimeoutError:
            link.lapse()
        except TrackerLost:
            pass
        for each in self._links:
            each.wake()

    def _end_identity(self, identity: Identity, reason: str) -> None:
        if self.identity is not identity:
            return  # Somebody logged in anew, or a renewal overtook it.
        self.identity = None
        if self._renewal is not None:
            self._renewal.cancel()
        for link in self._links:
            link.wake()
        self._wake_callers()
        self._listener.on_identity(None, reason)

    async def _renew_for_ever(self) -> None:
        while self.identity is not None:
            half_life_s = (self.identity.expires_at_s - time.time()) / 2
            await asyncio.sleep(max(half_life_s, _RENEW_AGAIN_S))
            # On every session: each tracker ends one by the certificate it last saw.
            identity = self.identity
            for answer in await self._on_all_sessions(Renew()):
                if isinstance(answer, LoggedIn):
                    self._take_renewal(identity, answer)
                    break

    def _on_resumed(self, identity: Identity, answer: LoggedIn) -> None:
        if answer.certificate_pem == identity.certificate_pem:
            self._take_keys(answer.ticket_keys)
        else:
            # It had revoked the other sessions, and the answer with the new certificate was lost.
            self._take_renewal(identity, answer)

    def _take_renewal(self, asked_as: Identity, answer: LoggedIn) -> None:
        """Unless somebody logged in anew meanwhile: the certificate is for the key that it was asked with."""
        if self.identity is not None and self.identity.private_key is asked_as.private_key:
            self.identity = replace(
                self.identity,
                certificate_pem=answer.certificate_pem,
                expires_at_s=answer.expires_at_s,
                ticket_keys=answer.ticket_keys,
            )
            self._listener.on_identity(self.identity, "renewed")

    def _take_keys(self, keys: dict[str, TrustedKey]) -> None:
        """Every tracker tells them, and each again when a session is resumed."""
        if self.identity is not None and self.identity.ticket_keys != keys:
            self.identity = replace(self.identity, ticket_keys=keys)
            self._listener.on_identity(self.identity, "ticket keys")

    def _on_event(self, event: Event | Bulletin) -> None:
        if isinstance(event, TicketKeys):
            self._take_keys(event.keys)
        elif not isinstance(event, Bulletin):
            self._listener.on_event(event)
        elif event not in self._heard:
            self._heard.append(event)
            self._listener.on_event(event.event)

    async def _on_all_sessions(self, request: Request, timeout_s: float = CALL_TIMEOUT_S) -> list[Result]:
        """What those answer that are prompt. Once one has answered, the others have as long as they usually take."""
        calls = {
            asyncio.create_task(self._call_quietly(link, request)): link
            for link in self._links
            if link.has_session and link.connection is not None
        }
        prompt = {task for task, link in calls.items() if not link.promptness.is_lapsing} or set(calls)
        if not calls:
            return []
        _, waited_for = await asyncio.wait(prompt, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if waited_for:
            patience_s = max(calls[task].promptness.patience_s for task in waited_for)
            await asyncio.wait(waited_for, timeout=min(patience_s, timeout_s))
        for task, link in calls.items():
            if not task.done():
                link.lapse()
                late = asyncio.create_task(self._hear_late(task, link))
                self._late.add(late)
                late.add_done_callback(self._late.discard)
        return [answer for task in calls if task.done() and (answer := task.result()) is not None]

    async def _call_quietly(self, link: TrackerLink, request: Request) -> Result | None:
        """None if the tracker is lost."""
        if link.connection is None:
            return None
        begun_s = time.monotonic()
        try:
            answer = await link.connection.call(request)
        except TrackerLost:
            return None
        link.promptness.answered(time.monotonic() - begun_s)
        return answer

    async def _hear_late(self, call: asyncio.Task[Result | None], link: TrackerLink) -> None:
        answer = await call
        if isinstance(answer, Announced):
            await self._listener.on_session(link.index, answer)


def _lost(link: TrackerLink) -> TrackerLost:
    return TrackerLost(f"the connection to the tracker at {link.address} is gone")
