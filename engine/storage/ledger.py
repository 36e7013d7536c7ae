"""What this client remembers between runs: who shares which file, which downloads are under way, and known hashes.

One SQLite file in the client's state folder, written in the moment a thing changes. Hashes are kept by path and
stamp, so that sharing the same file again costs a look at it, not a read (a manifest of 1 TB has 2 MiB).

Every failure is a StorageError that names the file; a full disk is met with space that was kept for it.
Not here: passwords, keys, certificates; none of them is ever written down.
"""

import contextlib
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from engine.errors import LocalError, StorageError
from engine.storage.disk_errors import explained
from engine.storage.file_names import part_path
from engine.storage.manifest import LEAF_BYTES, ROOT_BYTES, Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry

_STEPS: tuple[tuple[str, ...], ...] = (
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

_HASHES_LIFE_S = 90 * 86400
"""Hashes of a file that was not shared again for so long are forgotten; it may be gone, or on a disk that is away."""
_USED_LATELY_S = 86400

_BALLAST_BYTES = 256 << 10
"""Given up when the disk is full, so that what happens then can still be written down."""


_UNREADABLE = (sqlite3.Error, UnicodeDecodeError, MemoryError)
"""The second where what is damaged is a word that SQLite quotes, the third where it is a length."""

Root = Annotated[bytes, Meta(min_length=ROOT_BYTES, max_length=ROOT_BYTES)]
ShareRow = tuple[str, str, str, str, Root, int, int, int, int, int]
DownloadRow = tuple[str, str, str, str, Root, int, int, int]
ManifestRow = tuple[int, bytes, int]
WithdrawalRow = tuple[str, str, Root]


class SharedFile(Struct, frozen=True):
    """A complete file that an account shares in a group. `path` is absolute."""

    group_id: str
    name: str
    path: str
    root: bytes
    geometry: Geometry
    stamp: Stamp


class Withdrawal(Struct, frozen=True):
    """A share that was ended while no tracker could be told; `root` is the content it is meant for."""

    group_id: str
    name: str
    root: bytes


class StartedDownload(Struct, frozen=True):
    """A download that is not complete. `target` is its final absolute path; `has_part`: its part file was made."""

    group_id: str
    name: str
    target: str
    root: bytes
    geometry: Geometry
    has_part: bool

    @property
    def key(self) -> tuple[str, str]:
        return self.group_id, self.name

    @property
    def part(self) -> Path:
        return part_path(Path(self.target), self.root)


class Ledger:
    """The state folder's database. All calls are quick and synchronous; one process at a time has it open."""

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
        self._forget_old_hashes()

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
            raise explained(error, "write", log) from error

    def _bring_up_to_date(self) -> None:
        """All steps that are missing, or none of them."""
        self._database.execute("BEGIN IMMEDIATE")
        try:
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version > len(_STEPS):
                raise LocalError(
                    f"{self._path} was written by a later version of this program ({version}, this one knows "
                    f"{len(_STEPS)}); run that one, or choose another folder with --state",
                    "bad_state",
                )
            for step in _STEPS[version:]:
                for statement in step:
                    self._database.execute(statement)
            if version < len(_STEPS):
                self._database.execute(f"PRAGMA user_version = {len(_STEPS)}")
            self._database.execute("COMMIT")
        except BaseException:
            self._database.execute("ROLLBACK")
            raise

    def _ask(self, question: str, values: tuple[object, ...]) -> list[Any]:
        try:
            return self._database.execute(question, values).fetchall()
        except _UNREADABLE as error:
            raise self._trouble("read", error) from error

    @contextlib.contextmanager
    def _believing(self) -> Iterator[None]:
        """A file can be a sound database and yet be damaged: what it says is looked at like what a stranger says."""
        try:
            yield
        except (msgspec.ValidationError, ValueError) as error:
            raise self._damaged(error) from error

    def _write(self, statement: str, values: tuple[object, ...]) -> None:
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

    def _damaged(self, error: Exception) -> LocalError:
        return LocalError(f"{self._path} is damaged ({error}); move it away to start afresh", "bad_state")

    def _trouble(self, doing: str, error: Exception) -> StorageError:
        is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
        advice = "; what is not written down is forgotten at the next login" if doing == "write" else ""
        return StorageError(f"cannot {doing} {self._path}: {error}{advice}", "no_space" if is_full else "bad_state")

    def _take_ballast(self) -> None:
        with contextlib.suppress(OSError):  # there is nothing to spare: then not
            if not self._ballast.exists() or self._ballast.stat().st_size < _BALLAST_BYTES:
                descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
                with open(descriptor, "wb") as file:
                    file.write(b"kept free".ljust(_BALLAST_BYTES, b"."))

    # ------------------------------------------------------------ shares

    def add_share(self, user_id: str, share: SharedFile) -> None:
        """Whatever was to be withdrawn under this name is not any more."""
        self.drop_withdrawal(user_id, share.group_id, share.name)
        self._write(
            "INSERT OR REPLACE INTO shares VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (user_id, share.group_id, share.name, share.path, share.root, share.geometry.size_bytes,
             share.geometry.piece_bytes, share.stamp.inode, share.stamp.mtime_ns, share.stamp.ctime_ns),
        )  # fmt: skip

    def keep_withdrawal(self, user_id: str, withdrawal: Withdrawal) -> None:
        values = (user_id, withdrawal.group_id, withdrawal.name, withdrawal.root)
        self._write("INSERT OR REPLACE INTO withdrawals VALUES (?, ?, ?, ?)", values)

    def drop_withdrawal(self, user_id: str, group_id: str, name: str) -> None:
        statement = "DELETE FROM withdrawals WHERE user_id = ? AND group_id = ? AND name = ?"
        self._write(statement, (user_id, group_id, name))

    def withdrawals_of(self, user_id: str) -> list[Withdrawal]:
        question = "SELECT group_id, name, root FROM withdrawals WHERE user_id = ? ORDER BY group_id, name"
        rows = self._ask(question, (user_id,))
        with self._believing():
            return [Withdrawal(*row) for row in msgspec.convert(rows, list[WithdrawalRow])]

    def drop_share(self, user_id: str, group_id: str, name: str) -> None:
        self._write(
            "DELETE FROM shares WHERE user_id = ? AND group_id = ? AND name = ?", (user_id, group_id, name)
        )

    def shares_of(self, user_id: str) -> list[SharedFile]:
        rows = self._ask("SELECT * FROM shares WHERE user_id = ? ORDER BY group_id, name", (user_id,))
        with self._believing():
            return [
                SharedFile(group_id, name, path, root, Geometry(size, piece), Stamp(inode, size, mtime_ns, ctime_ns))
                for _, group_id, name, path, root, size, piece, inode, mtime_ns, ctime_ns in msgspec.convert(
                    rows, list[ShareRow]
                )
            ]

    # ------------------------------------------------------------ downloads

    def add_download(self, user_id: str, download: StartedDownload) -> None:
        self._write(
            "INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (user_id, download.group_id, download.name, download.target, download.root,
             download.geometry.size_bytes, download.geometry.piece_bytes, download.has_part),
        )  # fmt: skip

    def drop_download(self, user_id: str, group_id: str, name: str) -> None:
        self._write(
            "DELETE FROM downloads WHERE user_id = ? AND group_id = ? AND name = ?", (user_id, group_id, name)
        )

    def downloads_of(self, user_id: str) -> list[StartedDownload]:
        return self._downloads_where("user_id = ?", (user_id,))

    def find_download(self, user_id: str, group_id: str, name: str) -> StartedDownload | None:
        where = "user_id = ? AND group_id = ? AND name = ?"
        return next(iter(self._downloads_where(where, (user_id, group_id, name))), None)

    def _downloads_where(self, condition: str, values: tuple[object, ...]) -> list[StartedDownload]:
        rows = self._ask(f"SELECT * FROM downloads WHERE {condition} ORDER BY group_id, name", values)
        with self._believing():
            return [
                StartedDownload(group_id, name, target, root, Geometry(size, piece), bool(has_part))
                for _, group_id, name, target, root, size, piece, has_part in msgspec.convert(rows, list[DownloadRow])
            ]

    # ------------------------------------------------------------ hashes

    def remember(self, path: Path, status: os.stat_result, manifest: Manifest) -> None:
        """This file, as it stands now, has these hashes."""
        self._write(
            "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
             manifest.geometry.piece_bytes, manifest.leaves.tobytes(), int(time.time())),
        )  # fmt: skip

    def forget(self, path: Path) -> None:
        """The hashes of this path are not those of its content, whatever its marks say."""
        self._write("DELETE FROM manifests WHERE path = ?", (str(path),))

    def manifest_of(self, share: SharedFile) -> Manifest | None:
        """The hashes of what is shared, if they are here, whatever the file carries for marks now."""
        rows = self._ask("SELECT piece_bytes, leaves, used_at_s FROM manifests WHERE path = ?", (share.path,))
        size_bytes, piece_bytes = share.geometry.size_bytes, share.geometry.piece_bytes
        with self._believing():
            for found_bytes, leaves, _ in msgspec.convert(rows, list[ManifestRow]):
                if found_bytes == piece_bytes and len(leaves) == share.geometry.piece_count * LEAF_BYTES:
                    manifest = Manifest.of_leaves(Geometry(size_bytes, piece_bytes), leaves)
                    return manifest if manifest.root == share.root else None
        return None

    def recall(self, path: Path, status: os.stat_result) -> Manifest | None:
        """The hashes of this very file, if it is unchanged since they were made."""
        rows = self._ask(
            "SELECT piece_bytes, leaves, used_at_s FROM manifests WHERE path = ? AND inode = ? AND size_bytes = ?"
            " AND mtime_ns = ? AND ctime_ns = ?",
            (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        )
        with self._believing():
            for piece_bytes, leaves, used_at_s in msgspec.convert(rows, list[ManifestRow]):
                geometry = Geometry(status.st_size, piece_bytes)
                if len(leaves) != geometry.piece_count * LEAF_BYTES:
                    raise ValueError(f"{len(leaves)} bytes of hashes for {geometry.piece_count} pieces")
                if time.time() - used_at_s > _USED_LATELY_S:
                    self._write("UPDATE manifests SET used_at_s = ? WHERE path = ?", (int(time.time()), str(path)))
                return Manifest.of_leaves(geometry, leaves)
        return None

    def _forget_old_hashes(self) -> None:
        with contextlib.suppress(*_UNREADABLE):  # a full or damaged one is said when it matters
            oldest_s = int(time.time()) - _HASHES_LIFE_S
            self._database.execute("DELETE FROM manifests WHERE used_at_s < ?", (oldest_s,))
