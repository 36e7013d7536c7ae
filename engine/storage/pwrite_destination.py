"""A file read and written by position, without a map."""

import errno
import os


class PwriteDestination:
    """See storage.destination for what is promised."""

    def __init__(self, descriptor: int, size_bytes: int) -> None:
        self._descriptor = descriptor
        self._size_bytes = size_bytes

    def write(self, offset: int, block: memoryview) -> None:
        while block:
            count = os.pwrite(self._descriptor, block, offset)
            offset, block = offset + count, block[count:]

    def read(self, offset: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, offset)
        while len(data) < length:
            more = os.pread(self._descriptor, length - len(data), offset + len(data))
            if not more:
                raise OSError(errno.ESTALE, "the file became shorter while it was read")
            data += more
        return data

    def view(self, offset: int, length: int) -> memoryview | bytes:
        return self.read(offset, length)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        os.close(self._descriptor)
