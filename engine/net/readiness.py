"""Waiting until a non-blocking socket can be read or written, for the few steps before a transport takes it over.

Invariant of the caller: nothing else watches the socket meanwhile, since a loop knows one reader and one writer of it.
"""

import asyncio
import socket


async def until_readable(watched: socket.socket) -> None:
    """Returns also when the socket has ended or failed."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(watched, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_reader(watched)


async def until_writable(watched: socket.socket) -> None:
    """Returns also when the socket has failed."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_writer(watched, _wake, ready)
    try:
        await ready
    finally:
        loop.remove_writer(watched)


def _wake(ready: "asyncio.Future[None]") -> None:
    if not ready.done():
        ready.set_result(None)
