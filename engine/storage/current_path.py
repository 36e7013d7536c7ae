"""What an open file is called now: the kernel follows a name through renames and moves within a file system.

Invariant: a path that is returned leads to that very file at this moment. Linux only (/proc).
"""

import os
from pathlib import Path


def path_of(descriptor: int) -> Path | None:
    """None if the file has no name any more, or none that can be written down."""
    try:
        text = os.readlink(f"/proc/self/fd/{descriptor}")
        text.encode()
        there, ours = os.lstat(text), os.fstat(descriptor)
    except (OSError, ValueError):  # a name that is not UTF-8 is a ValueError
        return None
    return Path(text) if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino) else None
