"""The temporary folder with the socket of Python's fork server, and its removal when the client was killed.

Python makes the folder below TMPDIR and removes it in an orderly exit only. After a kill -9 of the client its workers
remove it. Where they were killed, too, the next client with the same state folder does: it finds the path in a note
there. It does not try whether a fork server still listens, since one ends when a connection says nothing.
"""

import multiprocessing.util
import os
import select
import shutil
from contextlib import suppress
from pathlib import Path

_DYING_S = 2.0


def path_of_this_process() -> Path:
    """The folder of this process, made if it is not there."""
    return Path(multiprocessing.util.get_temp_dir())


def remove_after(client: int, folder: Path) -> None:
    """Remove the folder if the client dies within a moment. `client`: a pidfd of it, which no later process gets."""
    if select.select([client], [], [], _DYING_S)[0]:
        shutil.rmtree(folder, ignore_errors=True)


def take_note(note: Path) -> None:
    """Remove the folder that the note names, whose process has to be dead, and note that of this process."""
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
