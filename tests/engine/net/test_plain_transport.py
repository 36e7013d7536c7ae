"""The transport of open links over real sockets: order, files beside bytes, back-pressure, ends."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from engine.net.plain_transport import PlainTransport

MIB = 1 << 20


class Keeper(asyncio.BufferedProtocol):
    """Keeps what comes and what happens."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.happened: list[str] = []
        self.ended = asyncio.Event()
        self._buffer = bytearray(65536)

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.received += self._buffer[:nbytes]

    def pause_writing(self) -> None:
        self.happened.append("pause")

    def resume_writing(self) -> None:
        self.happened.append("resume")

    def connection_lost(self, exc: Exception | None) -> None:
        self.happened.append(f"lost {type(exc).__name__}")
        self.ended.set()


def pair() -> tuple[socket.socket, socket.socket]:
    """Connected over TCP, both non-blocking."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    one.setblocking(False)
    other.setblocking(False)
    return one, other


async def read_all(other: socket.socket, count: int) -> bytes:
    loop, data = asyncio.get_running_loop(), bytearray()
    async with asyncio.timeout(10):
        while len(data) < count:
            data += await loop.sock_recv(other, 1 << 20)
    return bytes(data)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data.bin"
    path.write_bytes(os.urandom(8 * MIB))
    return path


async def test_bytes_and_file_ranges_arrive_in_the_order_they_were_written(file: Path) -> None:
    one, other = pair()
    keeper = Keeper()
    transport = PlainTransport(one, keeper)
    content, expected = file.read_bytes(), b""
    descriptor = os.open(file, os.O_RDONLY)
    for number in range(8):
        head, offset = b"head %d" % number, number * MIB
        transport.write_with_file(head, descriptor, offset, MIB - number)
        expected += head + content[offset : offset + MIB - number]
    transport.write(b"end")
    os.close(descriptor)  # its number may name another file by the time the last range is sent
    assert await read_all(other, len(expected) + 3) == expected + b"end"
    assert keeper.happened == ["pause", "resume"]
    transport.abort()
    await keeper.ended.wait()
    other.close()


async def test_what_comes_in_reaches_the_protocol_and_the_end_is_said_once(file: Path) -> None:
    one, other = pair()
    keeper = Keeper()
    transport = PlainTransport(one, keeper)
    await asyncio.get_running_loop().sock_sendall(other, b"x" * 300_000)
    other.close()
    async with asyncio.timeout(10):
        await keeper.ended.wait()
    assert bytes(keeper.received) == b"x" * 300_000
    transport.abort()
    transport.write(b"too late")
    await asyncio.sleep(0)
    assert keeper.happened == ["lost NoneType"]


async def test_a_file_that_shrinks_ends_the_link_and_no_descriptor_is_left(file: Path) -> None:
    one, other = pair()
    keeper = Keeper()
    open_before = len(os.listdir("/proc/self/fd"))
    transport = PlainTransport(one, keeper)
    with file.open("rb") as source:
        os.truncate(file, 100)
        transport.write_with_file(b"head", source.fileno(), 0, MIB)
        transport.write_with_file(b"head", source.fileno(), 0, MIB)
    async with asyncio.timeout(10):
        await keeper.ended.wait()
    assert keeper.happened == ["lost OSError"]
    assert len(os.listdir("/proc/self/fd")) <= open_before
    other.close()


async def test_who_expects_many_bytes_is_not_woken_for_a_few_but_for_the_end() -> None:
    one, other = pair()
    keeper = Keeper()
    transport = PlainTransport(one, keeper)
    transport.expect(50_000)
    other.send(bytes(1000))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not keeper.received
    other.send(bytes(49_000))
    async with asyncio.timeout(10):
        while len(keeper.received) < 50_000:
            await asyncio.sleep(0)
    other.send(bytes(10))
    other.close()
    await asyncio.wait_for(keeper.ended.wait(), 10)
    assert len(keeper.received) == 50_010


async def test_who_expects_nothing_more_is_woken_for_every_byte() -> None:
    one, other = pair()
    keeper = Keeper()
    transport = PlainTransport(one, keeper)
    transport.expect(50_000)
    transport.expect(0)
    other.send(b"x")
    async with asyncio.timeout(10):
        while not keeper.received:
            await asyncio.sleep(0)
    transport.abort()
    transport.expect(50_000)  # a message that ended the link may still be worked off
    other.close()
