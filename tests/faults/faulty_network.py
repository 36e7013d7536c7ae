"""A TCP forwarder between a leecher and a seeder that misbehaves on command.

    network = await FaultyNetwork.between(seeder_port)
    network.fault = "reset"        # from now on, for connections there are and for new ones
    network.fault = "none"

drop: bytes disappear, and nobody says so (a cable pulled, a peer asleep) · delay: half a second each way · reset: RST ·
corrupt: a flipped bit now and then · half_close: one direction ends, the other stays · throttle: 256 KiB/s, or another
rate · gone: connections are refused, those there are end
"""

import asyncio
import contextlib
import random
import socket
import struct
from typing import Literal

Fault = Literal["none", "drop", "delay", "reset", "corrupt", "half_close", "throttle", "gone"]
FAULTS: tuple[Fault, ...] = ("drop", "delay", "reset", "corrupt", "half_close", "throttle", "gone")
_CHUNK_BYTES = 64 << 10
_DELAY_S = 0.5
_CORRUPT_EVERY = 20
_LINGER_NOT = struct.pack("ii", 1, 0)


class FaultyNetwork:
    """Made by `between`; listens on `port` of the loopback."""

    def __init__(self, target_port: int, chance: random.Random) -> None:
        self.fault: Fault = "none"
        self.hurt = 0
        """How often a fault did something."""
        self.throttle_bytes_per_s = 256 << 10
        self.port = 0
        self._target_port, self._chance = target_port, chance
        self._writers: set[asyncio.StreamWriter] = set()

    @classmethod
    async def between(cls, target_port: int, seed: int) -> "FaultyNetwork":
        network = cls(target_port, random.Random(seed))
        network._server = await asyncio.start_server(network._accept, "127.0.0.1", 0)
        network.port = network._server.sockets[0].getsockname()[1]
        return network

    async def close(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()

    _server: asyncio.Server

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            if self.fault in ("gone", "reset"):
                return self._hang_up(writer)
            there = await asyncio.open_connection("127.0.0.1", self._target_port)
            self._writers.add(there[1])
            ways = (self._forward(reader, there[1], writer), self._forward(there[0], writer, there[1]))
            await asyncio.gather(*ways, return_exceptions=True)
            self._hang_up(there[1])
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._hang_up(writer)

    def _hang_up(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.transport.abort()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, other: asyncio.StreamWriter
    ) -> None:
        """One way, until it ends or the fault ends it."""
        with contextlib.suppress(OSError):
            while data := await reader.read(_CHUNK_BYTES):
                if self.fault in ("reset", "gone"):
                    self.hurt += 1
                    for each in (writer, other):
                        _forget_politeness(each)
                        self._hang_up(each)
                    return
                if self.fault == "half_close":
                    self.hurt += 1
                    writer.write_eof() if writer.can_write_eof() else None
                    return
                writer.write(await self._treated(data))
                await writer.drain()
        if not writer.transport.is_closing() and writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()

    async def _treated(self, data: bytes) -> bytes:
        match self.fault:
            case "drop":
                self.hurt += 1
                return b""
            case "delay":
                self.hurt += 1
                await asyncio.sleep(_DELAY_S)
            case "throttle":
                self.hurt += 1
                await asyncio.sleep(len(data) / self.throttle_bytes_per_s)
            case "corrupt" if self._chance.randrange(_CORRUPT_EVERY) == 0:
                self.hurt += 1
                place = self._chance.randrange(len(data))
                return data[:place] + bytes([data[place] ^ 1 << self._chance.randrange(8)]) + data[place + 1 :]
        return data


def _forget_politeness(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    connection = writer.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
