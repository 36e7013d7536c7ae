"""A file's outer marks, by which a change is noticed without reading it.

Who writes to a file may set its mtime back afterwards, but not its ctime: so that is among the marks. It also moves
when the bytes stay (chmod, a new hard link, a rename), so other marks are a reason to read the file, never a verdict.
"""

import os

from msgspec import Struct


class Stamp(Struct, frozen=True):
    """Equal stamps of one path: the content is taken to be the same. Times in nanoseconds since the epoch."""

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
