"""The folder in which one client keeps what it remembers. It is private, and one client at a time uses it."""

import fcntl
import os
from pathlib import Path

import platformdirs

from engine.errors import LocalError


def default_folder(host: str, port: int) -> Path:
    """One folder for each address that clients of this user serve on. Raises LocalError if there is no home folder."""
    try:
        folder = platformdirs.user_state_path("shoal")
    except RuntimeError:
        raise LocalError(
            "there is no home folder to keep the state in; set HOME, or give a folder with --state"
        ) from None
    return folder / "clients" / f"{host.replace(':', '_')}_{port}"


class StateFolder:
    """Locked until `close`."""

    def __init__(self, path: Path) -> None:
        """Raises LocalError if the folder cannot be used, or another client uses it."""
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except (FileExistsError, NotADirectoryError):
            raise LocalError(
                f"the state folder {path} cannot be made: a file is in its place; choose another with --state"
            ) from None
        except OSError as error:
            raise LocalError(
                f"cannot use the state folder {path}: {error.strerror}; choose another with --state"
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise LocalError(
                f"another client is running with the state folder {path}; end it, or choose another with --state",
                "state_busy",
            ) from None

    def close(self) -> None:
        os.close(self._lock)
