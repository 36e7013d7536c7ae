"""The plainest ways to move bytes from two processes to two others over loopback: Shoal's rate is compared with these.

`sendfile`: os.sendfile → recv_into a 256 KiB buffer → pwrite into a preallocated file. No hash, no protocol.
`sendfile-hash`: the same with BLAKE3 over each block and an fsync at the end: the plainest verified, durable copy.
`tls-blocking`, `tls-asyncio`: TLS 1.3 from memory to memory through Python's ssl module, with blocking sockets or with
asyncio (BufferedProtocol at the receiver, a paused and resumed transport at the sender). No hash, no file.

Each process moves half of the file. Not for: use by anything but bench.transfers.ceiling.
"""

import asyncio
import os
import socket
import ssl
import time
from multiprocessing.connection import Connection

from blake3 import blake3

BLOCK_BYTES = 256 << 10


def receiver(control: Connection, kind: str, certificate: str) -> None:
    """Told (target file or "", offset, length); answers with its port, then its CPU seconds when all is there."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        control.send(server.getsockname()[1])
        while (order := control.recv()) is not None:
            target, offset, length = order
            connection, _ = server.accept()
            before_s = time.process_time()
            if kind.startswith("sendfile"):
                _receive_into_file(connection, target, offset, length, is_verified=kind == "sendfile-hash")
            elif kind == "tls-blocking":
                _receive_blocking(connection, _server_context(certificate), length)
            else:
                asyncio.run(_receive_asyncio(connection, _server_context(certificate), length))
            control.send(time.process_time() - before_s)


def sender(control: Connection, kind: str, port: int) -> None:
    """Told (source file, offset, length); answers with its CPU seconds when all is sent."""
    while (order := control.recv()) is not None:
        source, offset, length = order
        before_s = time.process_time()
        connection = socket.create_connection(("127.0.0.1", port))
        if kind.startswith("sendfile"):
            with connection, open(source, "rb") as file:
                _send_file(connection, file.fileno(), offset, length)
        elif kind == "tls-blocking":
            _send_blocking(connection, length)
        else:
            asyncio.run(_send_asyncio(connection, length))
        control.send(time.process_time() - before_s)


# ---------------------------------------------------------------- sendfile → recv_into → pwrite


def _receive_into_file(connection: socket.socket, target: str, offset: int, length: int, *, is_verified: bool) -> None:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    descriptor = os.open(target, os.O_WRONLY)
    hasher = blake3()
    with connection:
        while length and (count := connection.recv_into(buffer, min(length, BLOCK_BYTES), socket.MSG_WAITALL)):
            if is_verified:
                hasher.update(buffer[:count])
            os.pwrite(descriptor, buffer[:count], offset)
            offset, length = offset + count, length - count
    if is_verified:
        os.fsync(descriptor)
    os.close(descriptor)


def _send_file(connection: socket.socket, descriptor: int, offset: int, length: int) -> None:
    while length:
        count = os.sendfile(connection.fileno(), descriptor, offset, min(length, BLOCK_BYTES))
        offset, length = offset + count, length - count


# ---------------------------------------------------------------- TLS, blocking


def _receive_blocking(connection: socket.socket, context: ssl.SSLContext, length: int) -> None:
    buffer = memoryview(bytearray(BLOCK_BYTES))
    with context.wrap_socket(connection, server_side=True) as link:
        while length and (count := link.recv_into(buffer)):
            length -= count


def _send_blocking(connection: socket.socket, length: int) -> None:
    block = memoryview(bytearray(os.urandom(BLOCK_BYTES)))
    with _client_context().wrap_socket(connection) as link:
        while length:
            length -= link.send(block[: min(length, BLOCK_BYTES)])


# ---------------------------------------------------------------- TLS, asyncio


class _Drain(asyncio.BufferedProtocol):
    """Receives into one buffer and forgets it."""

    def __init__(self, length: int) -> None:
        self._buffer = bytearray(BLOCK_BYTES)
        self._left = length
        self.is_over = asyncio.get_running_loop().create_future()

    def get_buffer(self, sizehint: int) -> bytearray:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        self._left -= nbytes
        if not self._left:
            self.is_over.set_result(None)


class _Fill(asyncio.Protocol):
    """Writes blocks as long as the transport takes them."""

    def __init__(self, length: int) -> None:
        self._block = memoryview(bytearray(os.urandom(BLOCK_BYTES)))
        self._left = length
        self._is_paused = False
        self.is_over = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.resume_writing()

    def pause_writing(self) -> None:
        self._is_paused = True

    def resume_writing(self) -> None:
        self._is_paused = False
        while self._left and not self._is_paused:
            block = self._block[: min(self._left, BLOCK_BYTES)]
            self._left -= len(block)
            self._transport.write(block)
        if not self._left and not self.is_over.done():
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_over.set_result(None)


async def _receive_asyncio(connection: socket.socket, context: ssl.SSLContext, length: int) -> None:
    loop = asyncio.get_running_loop()
    transport, drain = await loop.connect_accepted_socket(lambda: _Drain(length), connection, ssl=context)
    await drain.is_over
    transport.close()


async def _send_asyncio(connection: socket.socket, length: int) -> None:
    loop = asyncio.get_running_loop()
    _, fill = await loop.create_connection(
        lambda: _Fill(length), sock=connection, ssl=_client_context(), server_hostname="bench"
    )
    await fill.is_over


def _server_context(certificate: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate)
    return context


def _client_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
