"""A long path in a process of its own: TCP forwarded over loopback with a round trip, a rate and a bounded queue.

`python -m tests.testkit.long_path RATE ROUND_TRIP PORT …` prints a port for each PORT it forwards to, and ends with its
input. All connections share one path, whose two directions are alike: bytes wait their turn at the rate, then travel
for half the round trip. The queue before the path holds one bandwidth-delay product, as a router's should; while it is
full, nothing is read from the senders, so nothing is ever lost.

Invariant: a byte leaves in order, no earlier than its turn and half a round trip after it was read; of each direction
at most two bandwidth-delay products are held, and no more than that for one receiver that does not read.
Not for: loss and congestion control; the kernels of both ends see a short path. Opening a connection is not delayed.
"""

import asyncio
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Sequence
from threading import Thread

from tests.testkit.processes import LOOPBACK, ROOT

_CHUNK_BYTES = 64 << 10
_SOCKET_BYTES = 256 << 10
"""Asked of the kernel for each socket here: it should be the path that holds the bytes, not the buffers beside it."""


class LongPath:
    """The process, as a context manager. `ports[i]` leads to the i-th of the ports it was given."""

    def __init__(self, rate_bytes_per_s: float, round_trip_s: float, ports: Sequence[int]) -> None:
        command = [sys.executable, "-m", "tests.testkit.long_path", rate_bytes_per_s, round_trip_s, *ports]
        self._process = subprocess.Popen(
            [str(word) for word in command], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.ports = [int(word) for word in self._process.stdout.readline().split()]

    def __enter__(self) -> "LongPath":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class PlainStream:
    """One TCP connection and nothing else, for what a path allows: a server that sends as much as it is asked for."""

    def __init__(self) -> None:
        self._server = socket.create_server((LOOPBACK, 0))
        self.port: int = self._server.getsockname()[1]
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> "PlainStream":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._server.close()

    def seconds_for(self, size_bytes: int, port: int) -> float:
        """From dialling `port`, which leads here, to the last byte."""
        buffer = memoryview(bytearray(_CHUNK_BYTES))
        started_s = time.perf_counter()
        with socket.create_connection((LOOPBACK, port)) as connection:
            connection.sendall(size_bytes.to_bytes(8, "big"))
            while size_bytes and (count := connection.recv_into(buffer, min(size_bytes, _CHUNK_BYTES))):
                size_bytes -= count
        if size_bytes:
            raise ConnectionError("the path ended before the stream did")
        return time.perf_counter() - started_s

    def _serve(self) -> None:
        block = memoryview(bytes(_CHUNK_BYTES))
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return  # shut down
            with connection:
                left = int.from_bytes(connection.recv(8, socket.MSG_WAITALL), "big")
                while left:
                    left -= connection.send(block[: min(left, _CHUNK_BYTES)])


# ---------------------------------------------------------------- in the process


class _Direction:
    """When the path is free for the next byte; shared by all connections."""

    def __init__(self, rate_bytes_per_s: float, round_trip_s: float) -> None:
        self._rate, self._half_way_s = rate_bytes_per_s, round_trip_s / 2
        self._queue_s = round_trip_s
        self._free_at_s = 0.0
        self.held_bytes_max = 2 * rate_bytes_per_s * round_trip_s

    async def room(self) -> None:
        """Returns when the queue has some."""
        while (excess_s := self._free_at_s - time.monotonic() - self._queue_s) > 0:
            await asyncio.sleep(excess_s)

    def enter(self, size_bytes: int) -> float:
        """When these bytes will have arrived, on the monotonic clock."""
        self._free_at_s = max(self._free_at_s, time.monotonic()) + size_bytes / self._rate
        return self._free_at_s + self._half_way_s


class _Stream:
    """One direction of one connection: what was read and has not arrived. Ends with what it reads."""

    def __init__(self, source: socket.socket, target: socket.socket, direction: _Direction) -> None:
        self._source, self._target, self._direction = source, target, direction
        self._under_way: deque[tuple[float, bytes]] = deque()
        self._held_bytes = 0
        self._news = asyncio.Condition()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._read())
            group.create_task(self._deliver())

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        data = b"-"
        while data:
            await self._direction.room()
            data = await loop.sock_recv(self._source, _CHUNK_BYTES)
            async with self._news:
                self._under_way.append((self._direction.enter(len(data)), data))
                self._held_bytes += len(data)
                self._news.notify_all()
                await self._news.wait_for(lambda: self._held_bytes < self._direction.held_bytes_max)

    async def _deliver(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            async with self._news:
                await self._news.wait_for(lambda: self._under_way)
                arrives_at_s, data = self._under_way.popleft()
            await asyncio.sleep(max(0.0, arrives_at_s - time.monotonic()))
            if not data:
                self._target.shutdown(socket.SHUT_WR)
                return
            await loop.sock_sendall(self._target, data)
            async with self._news:
                self._held_bytes -= len(data)
                self._news.notify_all()


async def _connect(near: socket.socket, port: int, up: _Direction, down: _Direction) -> None:
    far = _small(socket.socket())
    with near, far:
        try:
            await asyncio.get_running_loop().sock_connect(far, (LOOPBACK, port))
            async with asyncio.TaskGroup() as group:
                group.create_task(_Stream(near, far, up).run())
                group.create_task(_Stream(far, near, down).run())
        except* OSError:
            pass  # one end hung up; so does the other


async def _accept(server: socket.socket, port: int, up: _Direction, down: _Direction) -> None:
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            near, _ = await loop.sock_accept(server)
            group.create_task(_connect(_small(near), port, up, down))


def _small(connection: socket.socket) -> socket.socket:
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        connection.setsockopt(socket.SOL_SOCKET, option, _SOCKET_BYTES)
    return connection


async def _forward(rate_bytes_per_s: float, round_trip_s: float, ports: Sequence[int]) -> None:
    up, down = (_Direction(rate_bytes_per_s, round_trip_s) for _ in range(2))
    servers = [socket.create_server((LOOPBACK, 0)) for _ in ports]
    for server in servers:
        server.setblocking(False)
    print(*(server.getsockname()[1] for server in servers), flush=True)
    accepting = [
        asyncio.create_task(_accept(server, port, up, down)) for server, port in zip(servers, ports, strict=True)
    ]
    await asyncio.to_thread(sys.stdin.read)
    for task in accepting:
        task.cancel()


if __name__ == "__main__":
    asyncio.run(_forward(float(sys.argv[1]), float(sys.argv[2]), [int(word) for word in sys.argv[3:]]))
