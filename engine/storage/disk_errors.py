"""Turns what the system says about a file into a sentence that names the path and what can be done about it.

Invariant: every OSError of a file that a user could meet has a code for programs, and advice where there is some.
"""

import errno
import os
from pathlib import Path

from engine.errors import StorageError

OUT_OF_SPACE = "no_space"
"""The code of every failure that more free space would mend."""

_CODES_AND_ADVICE = {
    errno.ENOSPC: (OUT_OF_SPACE, "the file system is full; make room"),
    errno.EDQUOT: (OUT_OF_SPACE, "your quota on this file system is used up; make room, or ask for more"),
    errno.EFBIG: ("too_large", "the file system, or a limit of this process (ulimit -f), allows no file of this size"),
    errno.EIO: ("disk_failed", "the disk reports an error; what was written lately may be lost, look at its state"),
    errno.EROFS: ("read_only", "the file system is mounted read-only; choose another place, or mount it for writing"),
    errno.EACCES: ("permission", "permission denied; choose another place, or change its permissions"),
    errno.EPERM: ("permission", "not permitted; choose another place, or change its permissions"),
    errno.ENAMETOOLONG: ("bad_name", "the name is too long for this file system; choose a shorter one"),
    errno.ENOENT: ("gone", "there is no such file or folder, or not any more"),
    errno.ENOTDIR: ("gone", "there is no such file or folder, or not any more"),
    errno.ESTALE: ("gone", "it is not there any more: the server of this file system dropped it"),
    errno.EMFILE: ("descriptors", "too many files are open; raise the limit (ulimit -n)"),
    errno.ENFILE: ("descriptors", "too many files are open on this machine"),
}


def explained(error: OSError, doing: str, path: Path | str) -> StorageError:
    """`doing`: "write", "read", … Where there is no advice, the sentence has the system's own words."""
    code, advice = _CODES_AND_ADVICE.get(
        error.errno or 0, ("storage", error.strerror or os.strerror(error.errno) if error.errno else str(error))
    )
    return StorageError(f"cannot {doing} {path}: {advice}", code)
