"""The file behind the ledger: an SQLite database that is opened, brought up to date, asked, written and synced.

A statement is durable against the end of this process when it returns, against a power cut after `sync`. When the disk
is full, space that was kept for it (the ballast) is given up, so that what happens then can still be written down.

Invariant: every failure is a StorageError or LocalError that names the file. What the file says is checked like what a
stranger says, since a sound database may still be damaged.
Not here: what the tables mean (ledger).
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import LocalError, StorageError
from engine.storage.disk_errors import explained

STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE IF NOT EXISTS shares (
        user_id TEXT, group_id TEXT, name TEXT, path TEXT, root BLOB, size_bytes INTEGER, piece_bytes INTEGER,
        inode INTEGER, mtime_ns INTEGER, PRIMARY KEY (user_id, group_id, name)) STRICT""",
        """CREATE TABLE IF NOT EXISTS downloads (
        user_id TEXT, group_id TEXT, name TEXT, target TEXT, root BLOB, size_bytes INTEGER, piece_bytes INTEGER,
        PRIMARY KEY (user_id, group_id, name)) STRICT""",
        """CREATE TABLE IF NOT EXISTS manifests (
        path TEXT PRIMARY KEY, inode INTEGER, size_bytes INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
        piece_bytes INTEGER, leaves BLOB) STRICT""",
    ),
    (
        "ALTER TABLE downloads ADD COLUMN has_part INTEGER NOT NULL DEFAULT 1",
        "ALTER TABLE manifests ADD COLUMN used_at_s INTEGER NOT NULL DEFAULT 0",
        "UPDATE manifests SET used_at_s = CAST(strftime('%s', 'now') AS INTEGER)",
    ),
    (
        """CREATE TABLE withdrawals (
        user_id TEXT, group_id TEXT, name TEXT, root BLOB, PRIMARY KEY (user_id, group_id, name)) STRICT""",
    ),
    # Shares from before have no ctime: they are read once more, and then have one.
    ("ALTER TABLE shares ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0",),
)
"""What each version changed, in order; PRAGMA user_version counts those that were taken. Only ever added to."""

_BALLAST_BYTES = 256 << 10
"""Given up when the disk is full, so that what happens then can still be written down."""

_UNREADABLE = (sqlite3.Error, UnicodeDecodeError, MemoryError)
"""What reading a damaged file may raise: UnicodeDecodeError where SQLite quotes a damaged word, MemoryError where a
length is damaged."""


class LedgerFile:
    """All calls are quick and synchronous; one process at a time has the file open."""

    def __init__(self, path: Path) -> None:
        """Raises LocalError if the file is not a database of this kind or of a later version."""
        self._path, self._ballast = path, path.with_name(path.name + ".ballast")
        self._is_unsynced = False
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError as error:
            raise explained(error, "write", path) from error
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            try:
                self._database.execute("PRAGMA journal_mode = WAL")
                self._database.execute("PRAGMA synchronous = NORMAL")
                self._bring_up_to_date()
            except BaseException:
                self._database.close()
                raise
        except _UNREADABLE as error:
            raise self._damaged(error) from error
        self._take_ballast()

    def close(self) -> None:
        self._database.close()

    @property
    def needs_sync(self) -> bool:
        """Whether something was written since the last `sync`."""
        return self._is_unsynced

    def sync(self) -> None:
        """Survive a power cut, too: what is written survives the end of this process at once, and that by this call.

        From any thread. Raises StorageError.
        """
        if not self._is_unsynced:
            return
        self._is_unsynced = False
        log = Path(f"{self._path}-wal")
        try:
            descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fdatasync(descriptor)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            pass
        except OSError as error:
            self._is_unsynced = True  # nothing of it is certain, so the next call tries again
            raise explained(error, "write", log) from error

    def _bring_up_to_date(self) -> None:
        """Take all steps that are missing, or none of them."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > len(STEPS):
                raise LocalError(
                    f"{self._path} was written by a later version of this program ({version}, this one knows "
                    f"{len(STEPS)}); run that one, or choose another folder with --state",
                    "bad_state",
                )
            for step in STEPS[version:]:
                for statement in step:
                    self._database.execute(statement)
            if version < len(STEPS):
                self._database.execute(f"PRAGMA user_version = {len(STEPS)}")
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def ask(self, question: str, values: tuple[object, ...]) -> list[Any]:
        """All rows. Raises StorageError."""
        try:
            return self._database.execute(question, values).fetchall()
        except _UNREADABLE as error:
            raise self._trouble("read", error) from error

    @contextlib.contextmanager
    def reading_rows(self) -> Iterator[None]:
        """Around the check of rows: what a check raises (ValueError, msgspec.ValidationError) means a damaged file."""
        try:
            yield
        except (msgspec.ValidationError, ValueError) as error:
            raise self._damaged(error) from error

    def write(self, statement: str, values: tuple[object, ...]) -> None:
        """Raises StorageError."""
        try:
            try:
                self._database.execute(statement, values)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_FULL or not self._ballast.exists():
                    raise
                self._ballast.unlink()
                self._database.execute(statement, values)
        except _UNREADABLE as error:
            raise self._trouble("write", error) from error
        self._is_unsynced = True

    def write_if_possible(self, statement: str, values: tuple[object, ...]) -> None:
        """For tidying up: a full or damaged file is reported when it matters, and keeps its ballast until then."""
        with contextlib.suppress(*_UNREADABLE):
            self._database.execute(statement, values)

    def _damaged(self, error: Exception) -> LocalError:
        return LocalError(f"{self._path} is damaged ({error}); move it away to start afresh", "bad_state")

    def _trouble(self, doing: str, error: Exception) -> StorageError:
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        advice = "; what is not written down is forgotten at the next login" if doing == "write" else ""
        return StorageError(f"cannot {doing} {self._path}: {error}{advice}", "no_space" if is_full else "bad_state")

    def _take_ballast(self) -> None:
        with contextlib.suppress(OSError):  # a disk that has no room for it is met without one
            if not self._ballast.exists() or self._ballast.stat().st_size < _BALLAST_BYTES:
                descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with open(descriptor, "wb") as file:
                    file.write(b"kept free".ljust(_BALLAST_BYTES, b"."))
