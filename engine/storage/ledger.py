"""What this client remembers between runs: who shares which file, which downloads are under way, and known hashes.

The ledger is one SQLite file in the client's state folder, written in the moment a thing changes. Hashes are kept by
path and stamp, so that sharing the same file again costs a look at it, not a read.

Invariant: every failure is a StorageError that names the file.
Not here: the file itself (ledger_file). Passwords, keys and certificates are never written down.
"""

import os
import time
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from engine.storage.file_names import part_path
from engine.storage.ledger_file import LedgerFile
from engine.storage.manifest import LEAF_BYTES, ROOT_BYTES, Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry

_HASHES_LIFE_S = 90 * 86400
"""Hashes of a file that was not shared again for so long are forgotten; it may be gone, or on a disk that is away."""
_USED_LATELY_S = 86400

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
    """What one state folder remembers, of every account that was used with it."""

    def __init__(self, path: Path) -> None:
        """Raises LocalError if the file is not a database of this kind or of a later version."""
        self._file = LedgerFile(path)
        self._forget_old_hashes()

    def close(self) -> None:
        self._file.close()

    @property
    def needs_sync(self) -> bool:
        """Whether something was written since the last `sync`."""
        return self._file.needs_sync

    def sync(self) -> None:
        """What is written survives the end of this process at once, and a power cut from this call on. From any thread.

        Raises StorageError.
        """
        self._file.sync()

    # ------------------------------------------------------------ shares

    def add_share(self, user_id: str, share: SharedFile) -> None:
        """Also forgets a withdrawal that is kept under this name."""
        self.drop_withdrawal(user_id, share.group_id, share.name)
        self._file.write(
            "INSERT OR REPLACE INTO shares VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (user_id, share.group_id, share.name, share.path, share.root, share.geometry.size_bytes,
             share.geometry.piece_bytes, share.stamp.inode, share.stamp.mtime_ns, share.stamp.ctime_ns),
        )  # fmt: skip

    def keep_withdrawal(self, user_id: str, withdrawal: Withdrawal) -> None:
        values = (user_id, withdrawal.group_id, withdrawal.name, withdrawal.root)
        self._file.write("INSERT OR REPLACE INTO withdrawals VALUES (?, ?, ?, ?)", values)

    def drop_withdrawal(self, user_id: str, group_id: str, name: str) -> None:
        statement = "DELETE FROM withdrawals WHERE user_id = ? AND group_id = ? AND name = ?"
        self._file.write(statement, (user_id, group_id, name))

    def withdrawals_of(self, user_id: str) -> list[Withdrawal]:
        question = "SELECT group_id, name, root FROM withdrawals WHERE user_id = ? ORDER BY group_id, name"
        rows = self._file.ask(question, (user_id,))
        with self._file.reading_rows():
            return [Withdrawal(*row) for row in msgspec.convert(rows, list[WithdrawalRow])]

    def drop_share(self, user_id: str, group_id: str, name: str) -> None:
        self._file.write(
            "DELETE FROM shares WHERE user_id = ? AND group_id = ? AND name = ?", (user_id, group_id, name)
        )

    def shares_of(self, user_id: str) -> list[SharedFile]:
        rows = self._file.ask("SELECT * FROM shares WHERE user_id = ? ORDER BY group_id, name", (user_id,))
        with self._file.reading_rows():
            return [
                SharedFile(group_id, name, path, root, Geometry(size, piece), Stamp(inode, size, mtime_ns, ctime_ns))
                for _, group_id, name, path, root, size, piece, inode, mtime_ns, ctime_ns in msgspec.convert(
                    rows, list[ShareRow]
                )
            ]

    # ------------------------------------------------------------ downloads

    def add_download(self, user_id: str, download: StartedDownload) -> None:
        self._file.write(
            "INSERT OR REPLACE INTO downloads VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (user_id, download.group_id, download.name, download.target, download.root,
             download.geometry.size_bytes, download.geometry.piece_bytes, download.has_part),
        )  # fmt: skip

    def drop_download(self, user_id: str, group_id: str, name: str) -> None:
        self._file.write(
            "DELETE FROM downloads WHERE user_id = ? AND group_id = ? AND name = ?", (user_id, group_id, name)
        )

    def downloads_of(self, user_id: str) -> list[StartedDownload]:
        return self._downloads_where("user_id = ?", (user_id,))

    def find_download(self, user_id: str, group_id: str, name: str) -> StartedDownload | None:
        where = "user_id = ? AND group_id = ? AND name = ?"
        return next(iter(self._downloads_where(where, (user_id, group_id, name))), None)

    def _downloads_where(self, condition: str, values: tuple[object, ...]) -> list[StartedDownload]:
        rows = self._file.ask(f"SELECT * FROM downloads WHERE {condition} ORDER BY group_id, name", values)
        with self._file.reading_rows():
            return [
                StartedDownload(group_id, name, target, root, Geometry(size, piece), bool(has_part))
                for _, group_id, name, target, root, size, piece, has_part in msgspec.convert(rows, list[DownloadRow])
            ]

    # ------------------------------------------------------------ hashes

    def remember(self, path: Path, status: os.stat_result, manifest: Manifest) -> None:
        """This file, as its status is now, has these hashes."""
        self._file.write(
            "INSERT OR REPLACE INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns,
             manifest.geometry.piece_bytes, manifest.leaves.tobytes(), int(time.time())),
        )  # fmt: skip

    def forget(self, path: Path) -> None:
        """The hashes of this path turned out not to be those of its content, although its stamp is the same."""
        self._file.write("DELETE FROM manifests WHERE path = ?", (str(path),))

    def manifest_of(self, share: SharedFile) -> Manifest | None:
        """The hashes of a shared file, if they are here, whatever its stamp is now."""
        rows = self._file.ask("SELECT piece_bytes, leaves, used_at_s FROM manifests WHERE path = ?", (share.path,))
        size_bytes, piece_bytes = share.geometry.size_bytes, share.geometry.piece_bytes
        with self._file.reading_rows():
            for found_bytes, leaves, _ in msgspec.convert(rows, list[ManifestRow]):
                if found_bytes == piece_bytes and len(leaves) == share.geometry.piece_count * LEAF_BYTES:
                    manifest = Manifest.of_leaves(Geometry(size_bytes, piece_bytes), leaves)
                    return manifest if manifest.root == share.root else None
        return None

    def recall(self, path: Path, status: os.stat_result) -> Manifest | None:
        """The hashes of this path, if its stamp has not changed since they were made."""
        rows = self._file.ask(
            "SELECT piece_bytes, leaves, used_at_s FROM manifests WHERE path = ? AND inode = ? AND size_bytes = ?"
            " AND mtime_ns = ? AND ctime_ns = ?",
            (str(path), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        )
        with self._file.reading_rows():
            for piece_bytes, leaves, used_at_s in msgspec.convert(rows, list[ManifestRow]):
                geometry = Geometry(status.st_size, piece_bytes)
                if len(leaves) != geometry.piece_count * LEAF_BYTES:
                    raise ValueError(f"{len(leaves)} bytes of hashes for {geometry.piece_count} pieces")
                if time.time() - used_at_s > _USED_LATELY_S:
                    self._file.write("UPDATE manifests SET used_at_s = ? WHERE path = ?", (int(time.time()), str(path)))
                return Manifest.of_leaves(geometry, leaves)
        return None

    def _forget_old_hashes(self) -> None:
        oldest_s = int(time.time()) - _HASHES_LIFE_S
        self._file.write_if_possible("DELETE FROM manifests WHERE used_at_s < ?", (oldest_s,))
