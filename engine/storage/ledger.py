"""What this client remembers between runs: who shares which file, which downloads are under way, and known hashes.

One SQLite file in the client's state folder, written in the moment a thing changes. Hashes are kept by path and
stamp, so that sharing the same file again costs a look at it, not a read (a manifest of 1 TB has 2 MiB).

Not here: passwords, keys, certificates; none of them is ever written down.
"""

import os
import sqlite3
from pathlib import Path

from msgspec import Struct

from engine.errors import LocalError
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry

_SCHEMA = """
CREATE TABLE IF NOT EXISTS shares (
    user_id TEXT, group_id TEXT, name TEXT, path TEXT, root BLOB, size_bytes INTEGER, piece_bytes INTEGER,
    inode INTEGER, mtime_ns INTEGER, PRIMARY KEY (user_id, group_id, name)) STRICT;
CREATE TABLE IF NOT EXISTS downloads (
    user_id TEXT, group_id TEXT, name TEXT, target TEXT, root BLOB, size_bytes INTEGER, piece_bytes INTEGER,
    PRIMARY KEY (user_id, group_id, name)) STRICT;
CREATE TABLE IF NOT EXISTS manifests (
    path TEXT PRIMARY KEY, inode INTEGER, size_bytes INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
    piece_bytes INTEGER, leaves BLOB) STRICT;
"""


class SharedFile(Struct, frozen=True):
    """A complete file that an account shares in a group. `path` is absolute."""

    group_id: str
    name: str
    path: str
    root: bytes
    geometry: Geometry
    stamp: Stamp


class StartedDownload(Struct, frozen=True):
    """A download that is not complete. `target` is its final absolute path."""

    group_id: str
    name: str
    target: str
    root: bytes
    geometry: Geometry


class Ledger:
    """The state folder's database. All calls are quick and synchronous; one process at a time has it open."""

    def __init__(self, path: Path) -> None:
        """Raises LocalError if the file is not a database of this kind."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
        except sqlite3.DatabaseError as error:
            raise LocalError(f"{path} is damaged ({error}); move it away to start afresh", "bad_state") from error

    def close(self) -> None:
        self._database.close()

    # ------------------------------------------------------------ shares

    def add_share(self, user_id: str, share: SharedFile) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO shares VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (user_id, share.group_id, share.name, share.path, share.root, share.geometry.size_bytes,
             share.geometry.piece_bytes, share.stamp.inode, share.stamp.mtime_ns),
        )  # fmt: skip

    def drop_share(self, user_id: str, group_id: str, name: str) -> None:
        self._database.execute(
            "DELETE FROM shares WHERE user_id = ? AND group_id = ? AND name = ?", (user_id, group_id, name)
        )

    def shares_of(self, user_id: str) -> list[SharedFile]:
        rows = self._database.execute("SELECT * FROM shares WHERE user_id = ? ORDER BY group_id, name", (user_id,))
        return [
            SharedFile(group_id, name, path, root, Geometry(size, piece), Stamp(inode, size, mtime_ns))
            for _, group_id, name, path, root, size, piece, inode, mtime_ns in rows
        ]

    # ------------------------------------------------------------ downloads

    def add_download(self, user_id: str, download: StartedDownload) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?, ?, ?, ?)",
            (user_id, download.group_id, download.name, download.target, download.root,
             download.geometry.size_bytes, download.geometry.piece_bytes),
        )  # fmt: skip

    def drop_download(self, user_id: str, group_id: str, name: str) -> None:
        self._database.execute(
            "DELETE FROM downloads WHERE user_id = ? AND group_id = ? AND name = ?", (user_id, group_id, name)
        )

    def downloads_of(self, user_id: str) -> list[StartedDownload]:
        rows = self._database.execute("SELECT * FROM downloads WHERE user_id = ? ORDER BY group_id, name", (user_id,))
        return [
            StartedDownload(group_id, name, target, root, Geometry(size, piece))
            for _, group_id, name, target, root, size, piece in rows
        ]

    # ------------------------------------------------------------ hashes

    def remember(self, path: Path, status: os.stat_result, manifest: Manifest) -> None:
        """This file, as it stands now, has these hashes."""
        self._database.execute(
            "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?)",
            (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
             manifest.geometry.piece_bytes, manifest.leaves.tobytes()),
        )  # fmt: skip

    def recall(self, path: Path, status: os.stat_result) -> Manifest | None:
        """The hashes of this very file, if it is unchanged since they were made."""
        row = self._database.execute(
            "SELECT piece_bytes, leaves FROM manifests WHERE path = ? AND inode = ? AND size_bytes = ?"
            " AND mtime_ns = ? AND ctime_ns = ?",
            (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        ).fetchone()
        return Manifest.of_leaves(Geometry(status.st_size, row[0]), row[1]) if row else None
