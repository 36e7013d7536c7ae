"""The stamp of a file: its inode, size and times, by which a change is noticed without reading it.

A program that writes to a file can set its mtime back afterwards, but not its ctime, so the ctime is part of the stamp.
The ctime changes also when the bytes do not (chmod, a new hard link, a rename): another stamp is a reason to read the
file, and never a proof that it changed.
"""

import os

from msgspec import Struct


class Stamp(Struct, frozen=True):
    """As long as a path has the same stamp, its content is taken to be the same. Times in nanoseconds since 1970."""

    inode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Stamp":
        return cls(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
