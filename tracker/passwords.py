"""Password hashes: argon2id, slow by design, so that a stolen store does not give the passwords away.

Invariant: checking the password of nobody costs what checking somebody's costs, so the time of an answer does not say
which names exist. `PasswordDesk` runs the work off the event loop, one per core, with a bounded line before it.
"""

import asyncio
import os
from dataclasses import dataclass

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from tracker.settings import PASSWORDS_WAITING_MAX


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
    """The same work off the event loop. Each check holds 64 MiB for a tenth of a second, hence the two bounds."""

    def __init__(self, passwords: Passwords) -> None:
        self._passwords = passwords
        self._cores = asyncio.Semaphore(_usable_cores())
        self._waiting = 0

    async def hash_password(self, password: str) -> str:
        async with _Place(self):
            return await asyncio.to_thread(self._passwords.hash_password, password)

    async def verify_password(self, password_hash: str | None, password: str) -> bool:
        async with _Place(self):
            return await asyncio.to_thread(self._passwords.verify_password, password_hash, password)

    def needs_rehash(self, password_hash: str) -> bool:
        return self._passwords.needs_rehash(password_hash)

    async def enter(self) -> None:
        if self._waiting >= PASSWORDS_WAITING_MAX:
            raise DeskBusy
        self._waiting += 1
        try:
            await self._cores.acquire()
        finally:
            self._waiting -= 1

    def leave(self) -> None:
        self._cores.release()


class _Place:
    def __init__(self, desk: PasswordDesk) -> None:
        self._desk = desk

    async def __aenter__(self) -> None:
        await self._desk.enter()

    async def __aexit__(self, *_: object) -> None:
        self._desk.leave()


def _encoded(password: str) -> bytes:
    # A lone surrogate cannot come over the wire, but a caller in this process could have one.
    return password.encode("utf-8", "surrogatepass")


def _usable_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
