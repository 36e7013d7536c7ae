"""What a stranger's first bytes are worth: real sockets of the loopback."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from engine.net.listener import first_byte
from engine.wire.codec import HELLO_TYPE

CLIENT_HELLO = bytes([22, 3, 1, 1, 0]) + bytes(256)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """(whoever dialled, the accepted end)"""
    with socket.create_server(("127.0.0.1", 0)) as server:
        dialled = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
    accepted.setblocking(False)
    dialled.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    yield dialled, accepted
    dialled.close()
    accepted.close()


async def test_no_handshake_begins_before_its_first_message_is_whole(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    dialled, accepted = ends
    hearing = asyncio.create_task(first_byte(accepted))
    for begin, end in ((0, 1), (1, 5), (5, 6), (6, 260)):
        dialled.sendall(CLIENT_HELLO[begin:end])
        for _ in range(10):
            await asyncio.sleep(0)
        assert not hearing.done()
    dialled.sendall(CLIENT_HELLO[260:])
    assert await hearing == 22
    assert accepted.recv(1000) == CLIENT_HELLO


async def test_an_open_link_is_told_by_its_first_byte(ends: tuple[socket.socket, socket.socket]) -> None:
    dialled, accepted = ends
    dialled.sendall(bytes([HELLO_TYPE, 0, 0, 0, 0, 0, 0, 40]))
    assert await first_byte(accepted) == HELLO_TYPE


@pytest.mark.parametrize("said", [b"", CLIENT_HELLO[:3], CLIENT_HELLO[:100]])
async def test_who_ends_in_the_middle_of_its_first_message_is_refused(
    ends: tuple[socket.socket, socket.socket], said: bytes
) -> None:
    dialled, accepted = ends
    dialled.sendall(said)
    dialled.shutdown(socket.SHUT_WR)
    with pytest.raises(ConnectionResetError):
        await first_byte(accepted)


async def test_a_first_message_longer_than_any_of_tls_is_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    dialled, accepted = ends
    dialled.sendall(bytes([22, 3, 1, 0x40, 1]))
    with pytest.raises(ConnectionAbortedError):
        await first_byte(accepted)
