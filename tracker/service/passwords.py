"""Password hashes: argon2id, slow by design, so that a stolen store does not give the passwords away.

What is hashed is the password's prepared form (RFC 8265, OpaqueString), so that "é" is one password whether a keyboard
sends it as one character or as two. Older hashes may be of the form that was sent; they still open their accounts.
`PasswordQueue` runs the work off the event loop, on every core but one, with bounded lines before it.

Invariant: checking a password for an account that does not exist costs as much as checking a real one, so the time of
an answer does not tell which names exist, nor of which form a hash is.

Not here: how long those who guess have to wait (rules.throttle).
"""

import asyncio
import os
import unicodedata
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from tracker.settings import PASSWORDS_WAITING_MAX, PASSWORDS_WAITING_PER_ADDRESS_MAX

_PREPARED = "prepared"
"""Stands before a hash of a prepared form. The rest is argon2's own notation."""


def prepare(password: str) -> str:
    """The form in which RFC 8265 compares passwords: every kind of space is a space, and the text is in normal form C.

    What that RFC forbids in a password, such as control characters, is not refused here: there are accounts with it.
    """
    spaced = "".join(" " if unicodedata.category(character) == "Zs" else character for character in password)
    return unicodedata.normalize("NFC", spaced)


@dataclass(frozen=True, slots=True)
class Cost:
    """RFC 9106's second recommendation, but with one lane: the cores are used by working for several people at once."""

    passes: int = 3
    memory_kib: int = 64 << 10


class Passwords:
    """Blocks while it works; see PasswordQueue."""

    def __init__(self, cost: Cost | None = None) -> None:
        chosen = cost or Cost()
        self._hasher = PasswordHasher(chosen.passes, chosen.memory_kib, parallelism=1, type=Type.ID)
        self._nobody = self._hasher.hash("the password of nobody")

    def hash_password(self, password: str) -> str:
        return _PREPARED + self._hasher.hash(_encoded(prepare(password)))

    def verify_password(self, password_hash: str | None, password: str) -> bool:
        """`None` stands for an account that does not exist: always False, after the same work.

        A password that was not sent in its prepared form is tried in both forms, whatever the first one yields: how
        long that takes depends on what was sent alone.
        """
        argon2_hash = (password_hash or self._nobody).removeprefix(_PREPARED)
        forms = dict.fromkeys((prepare(password), password))
        results = [self._is_of(argon2_hash, form) for form in forms]
        return password_hash is not None and any(results)

    def needs_rehash(self, password_hash: str, password: str) -> bool:
        """Whether the hash was made at another cost than today's, or perhaps of another form than the prepared one.

        `password` is the one it was just verified with.
        """
        if self._hasher.check_needs_rehash(password_hash.removeprefix(_PREPARED)):
            return True
        return not password_hash.startswith(_PREPARED) and prepare(password) != password

    def _is_of(self, argon2_hash: str, form: str) -> bool:
        try:
            return self._hasher.verify(argon2_hash, _encoded(form))
        except (VerificationError, InvalidHashError):
            return False


class PasswordQueueFull(Exception):
    """Too many passwords wait already."""


class PasswordQueue:
    """The same work off the event loop. A check holds 64 MiB for a tenth of a second or two, hence the bounds.

    Addresses take turns, each with a line of its own, so a flood of logins delays its own address. Addresses with the
    fewest wrong passwords lately come first, so that many that guess come after one that does not. When all lines
    together are too long, the last of the longest line is refused.
    """

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._free = max(1, _usable_cores() - 1)  # one is for those who are in already
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._wrong_of: dict[str, int] = {}

    async def hash_password(self, host: str, password: str) -> str:
        async with self._place(host):
            return await asyncio.to_thread(self._passwords.hash_password, password)

    async def verify_password(self, host: str, password_hash: str | None, password: str, wrong_lately: int = 0) -> bool:
        """`wrong_lately`: passwords from this address."""
        async with self._place(host, wrong_lately):
            return await asyncio.to_thread(self._passwords.verify_password, password_hash, password)

    def needs_rehash(self, password_hash: str, password: str) -> bool:
        return self._passwords.needs_rehash(password_hash, password)

    @asynccontextmanager
    async def _place(self, host: str, wrong_lately: int = 0) -> AsyncIterator[None]:
        """A core for as long as the block runs. Raises PasswordQueueFull."""
        if self._free:
            self._free -= 1
        else:
            await self._stand_in_line(host, wrong_lately)
        try:
            yield
        finally:
            self._leave()

    async def _stand_in_line(self, host: str, wrong_lately: int) -> None:
        line = self._lines.setdefault(host, deque())
        self._wrong_of[host] = wrong_lately
        if len(line) >= PASSWORDS_WAITING_PER_ADDRESS_MAX:
            raise PasswordQueueFull
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        if sum(map(len, self._lines.values())) > PASSWORDS_WAITING_MAX:
            last = max(self._lines.values(), key=len).pop()
            if not last.done():
                last.set_exception(PasswordQueueFull())
        try:
            await turn
        except BaseException:
            # Cancelled in the very moment its turn came: the core it was given goes to the next.
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._leave()
            raise

    def _leave(self) -> None:
        while self._lines:
            host = min(self._lines, key=self._wrong_of.__getitem__)
            line = self._lines[host]
            self._lines.move_to_end(host)
            turn = line.popleft() if line else None
            if not line:
                del self._lines[host], self._wrong_of[host]
            if turn is not None and not turn.done():
                turn.set_result(None)
                return
        self._free += 1


def _encoded(password: str) -> bytes:
    # A lone surrogate cannot come over the wire, but a caller in this process could have one.
    return password.encode("utf-8", "surrogatepass")


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
