"""The tracker's SQLite database as a file: checked before it is trusted, copied while it is used, restored.

Invariants. A file that is damaged, or not a tracker's, is reported and stays as it is. A copy appears under its name
only when it is whole and durable. A database is replaced only while no tracker uses it, and what it replaces is kept.

Not here: what is in it (schema, migrations), how it is used (store).
"""

import fcntl
import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

from tracker.store.store import StoreError

DATABASE_NAME = "tracker.db"
_LOCK_NAME = "in-use.lock"
_TRACKERS_TABLES = {"meta", "counters", "accounts"}
"""These are in every version."""

_STEP = 1_000_000
"""Added to epochs and generations by a restore. None that was given since the copy was made may be given again: there
are tickets and certificates of those.
"""


def check_database(path: Path) -> None:
    """Reads the whole file once (about 1 s a GB) and writes nothing. An empty file is fine. Raises StoreError."""
    try:
        with closing(_open_to_read(path)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and not tables >= _TRACKERS_TABLES:
                raise StoreError(f"{path} is a database of another program; it was left as it is")
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise StoreError(_damaged(path, str(error))) from error
    if verdict != "ok":
        raise StoreError(_damaged(path, verdict))


def _damaged(path: Path, how: str) -> str:
    how = " ".join(how.split())
    return (
        f"{path} is damaged or no tracker's database: {how}; it was left as it is. "
        "Put a copy back with `python -m tracker restore FILE`, or move it away to start afresh"
    )


def use_folder(state_dir: Path) -> int:
    """Takes the lock that all trackers of the folder share, held while the descriptor is open. Raises StoreError,
    OSError.
    """
    return _lock(state_dir, fcntl.LOCK_SH, f"the database in {state_dir} is being restored right now; try again soon")


def copy_database(source: Path, target: Path) -> None:
    """Copies the committed state of a database that may be in use; replaces `target`. Raises OSError, sqlite3.Error."""
    temporary = target.with_name(target.name + ".new")
    # Private before anything secret is in it.
    os.close(os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
    try:
        with closing(_open_to_read(source)) as reading, closing(sqlite3.connect(temporary)) as writing:
            reading.backup(writing)
            writing.execute("PRAGMA journal_mode = DELETE")  # one file, whole by itself
        _sync(temporary)
        os.rename(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync(target.parent)


def back_up(state_dir: Path, target: Path) -> str:
    """Copies the database, also while trackers run. Returns what the copy holds, in words. Raises StoreError."""
    source = state_dir / DATABASE_NAME
    if not source.exists():
        raise StoreError(f"there is no database {source}; give its folder with --state")
    if os.path.lexists(target):
        raise StoreError(f"{target} exists already; choose another name")
    check_database(source)
    try:
        copy_database(source, target)
        return _count(target)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"the copy {target} cannot be written: {_reason(error)}") from error


def restore(backup: Path, state_dir: Path) -> str:
    """Puts a copy in the place of the database, which is kept beside it. Returns what it holds, in words. Raises
    StoreError.

    Accounts, groups and files are those of the copy: members who were removed since are back, and those who joined
    since are not in it. Everybody has to log in again.
    """
    if not backup.is_file():
        raise StoreError(f"there is no copy {backup}")
    check_database(backup)
    target = state_dir / DATABASE_NAME
    fresh = target.with_name(target.name + ".restoring")
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = _lock(state_dir, fcntl.LOCK_EX, f"a tracker uses {state_dir}; end it first, then restore")
        try:
            copy_database(backup, fresh)
            with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
                connection.execute("UPDATE counters SET value = value + ? WHERE name = 'epoch'", (_STEP,))
                connection.execute("UPDATE groups SET epoch = epoch + ?", (_STEP,))
                _end_sessions(connection)
            _sync(fresh)
            _keep_aside(target)
            os.rename(fresh, target)
            _sync(state_dir)
        finally:
            os.close(lock)
        return _count(target)
    except (OSError, sqlite3.Error) as error:
        fresh.unlink(missing_ok=True)
        raise StoreError(f"{target} cannot be restored: {_reason(error)}") from error


def _end_sessions(connection: sqlite3.Connection) -> None:
    """As far as the copy's version knows of sessions."""
    known = {name for (_, name, *_) in connection.execute("PRAGMA table_info(accounts)")}
    if "generation" in known:
        connection.execute("UPDATE accounts SET generation = generation + ?", (_STEP,))
    if "spared" in known:
        connection.execute("UPDATE accounts SET spared = NULL")


def _keep_aside(database: Path) -> None:
    """Gives the old database a second name first. Then its log is removed, which must not be applied to another
    database.
    """
    kept = database.with_name(f"{database.name}.replaced-{time.strftime('%Y%m%d-%H%M%S')}")
    for ending in ("", "-wal"):
        with suppress(FileNotFoundError):
            os.link(f"{database}{ending}", f"{kept}{ending}")
    for ending in ("-wal", "-shm"):
        Path(f"{database}{ending}").unlink(missing_ok=True)


def _count(path: Path) -> str:
    with closing(_open_to_read(path)) as connection:
        counts = [
            f"{connection.execute(f'SELECT count(*) FROM {table}').fetchone()[0]} {table}"
            for table in ("accounts", "groups", "files")
        ]
    return ", ".join(counts)


def _open_to_read(path: Path) -> sqlite3.Connection:
    """Does not even finish what a killed tracker left undone."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=10.0)


def _lock(state_dir: Path, kind: int, busy: str) -> int:
    descriptor = os.open(state_dir / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise StoreError(busy) from None
    return descriptor


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
