"""The path that a file, which this process has open, has now: the kernel follows it through renames and moves.

Invariant: a path that is returned leads to that very file at this moment. Linux only (/proc).
"""

import os
from pathlib import Path


def path_of(descriptor: int) -> Path | None:
    """None if the file has no name any more, or none that is UTF-8."""
    try:
        text = os.readlink(f"/proc/self/fd/{descriptor}")
        text.encode()
        there, ours = os.lstat(text), os.fstat(descriptor)
    except (OSError, ValueError):  # a name that is not UTF-8 is a ValueError
        return None
    return Path(text) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) else None
