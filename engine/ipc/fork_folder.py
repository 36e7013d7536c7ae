"""The folder with the fork server's socket, which Python makes below TMPDIR and removes in an orderly exit only.

After a kill -9 of the client its workers remove it; where they were killed too, the next client with the same state
folder does, which is where it is noted. (Whether somebody still listens there is not tried out: the fork server takes
a caller that says nothing for an order, and ends.)
"""

import multiprocessing.util
import os
import select
import shutil
from contextlib import suppress
from pathlib import Path

_DYING_S = 2.0


def path_of_this_process() -> Path:
    """Made if need be."""
    return Path(multiprocessing.util.get_temp_dir())


def remove_after(client: int, folder: Path) -> None:
    """If the client dies within a moment. `client`: a descriptor of its process (a pidfd, which has no successor)."""
    if select.select([client], [], [], _DYING_S)[0]:
        shutil.rmtree(folder, ignore_errors=True)


def take_note(note: Path) -> None:
    """Remove what the last one left who noted its folder here, which has to be dead; note that of this process."""
    ours = path_of_this_process()
    with suppress(OSError, ValueError):
        left = Path(note.read_text())
        if left != ours and left.name.startswith("pymp-") and left.is_absolute():
            shutil.rmtree(left, ignore_errors=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
    with suppress(OSError):  # a full disk; what is left behind then is an empty folder
        descriptor = os.open(note, flags, 0o600)  # private: whoever could write it would choose what is removed next
        with open(descriptor, "w") as file:
            file.write(str(ours))
