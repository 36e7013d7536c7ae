"""Password hashes: argon2id, slow by design, so that a stolen store does not give the passwords away.

Invariant: checking the password of nobody costs what checking somebody's costs, so the time of an answer does not say
which names exist. `PasswordDesk` runs the work off the event loop, on every core but one, with bounded lines before it.
"""

import asyncio
import os
from collections import OrderedDict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from tracker.settings import PASSWORDS_WAITING_MAX, PASSWORDS_WAITING_PER_ADDRESS_MAX


@dataclass(frozen=True, slots=True)
class Cost:
    """RFC 9106's second recommendation, but with one lane: the desk uses the cores by serving several people."""

    passes: int = 3
    memory_kib: int = 64 << 10


class Passwords:
    """Blocking; see PasswordDesk."""

    def __init__(self, cost: Cost | None = None) -> None:
        chosen = cost or Cost()
        self._hasher = PasswordHasher(chosen.passes, chosen.memory_kib, parallelism=1, type=Type.ID)
        self._nobody = self._hasher.hash("the password of nobody")

    def hash_password(self, password: str) -> str:
        return self._hasher.hash(_encoded(password))

    def verify_password(self, password_hash: str | None, password: str) -> bool:
        """`None` stands for an account that does not exist: always False, after the same work."""
        try:
            self._hasher.verify(password_hash or self._nobody, _encoded(password))
        except (VerificationError, InvalidHashError):
            return False
        return password_hash is not None

    def needs_rehash(self, password_hash: str) -> bool:
        """Whether it was made at another cost than today's."""
        return self._hasher.check_needs_rehash(password_hash)


class DeskBusy(Exception):
    """Too many people wait already."""


class PasswordDesk:
    """The same work off the event loop. Each check holds 64 MiB for a tenth of a second, hence the bounds.

    Addresses take turns, each with a line of its own: whoever floods the tracker with logins waits for himself. Those
    with the fewest wrong passwords lately come first, so that many that guess are behind one that does not. When all
    lines together are too long, the last of the longest is sent away.
    """

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._free = max(1, _usable_cores() - 1)  # one is for those who are in already
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        self._wrong_of: dict[str, int] = {}

    async def hash_password(self, host: str, password: str) -> str:
        async with self._place(host):
            return await asyncio.to_thread(self._passwords.hash_password, password)

    async def verify_password(
        self, host: str, password_hash: str | None, password: str, wrong_lately: int = 0
    ) -> bool:
        """`wrong_lately`: passwords from this address."""
        async with self._place(host, wrong_lately):
            return await asyncio.to_thread(self._passwords.verify_password, password_hash, password)

    def needs_rehash(self, password_hash: str) -> bool:
        return self._passwords.needs_rehash(password_hash)

    @asynccontextmanager
    async def _place(self, host: str, wrong_lately: int = 0) -> AsyncIterator[None]:
        """A core for the length of the block. Raises DeskBusy."""
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
            raise DeskBusy
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        line.append(turn)
        if sum(map(len, self._lines.values())) > PASSWORDS_WAITING_MAX:
            last = max(self._lines.values(), key=len).pop()
            if not last.done():
                last.set_exception(DeskBusy())
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
