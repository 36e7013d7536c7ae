"""Lines from a descriptor and passwords from the terminal, while the event loop goes on.

The descriptor is read directly, not through sys.stdin or getpass. A thread that is blocked in those would delay the
exit after a signal, and non-blocking mode would change the terminal for every program that has it open.

Invariant: the event loop never waits for a person, and the terminal echoes again however the question ends.
Not for: the line editor of the prompt (prompt).
"""

import asyncio
import os
import termios
from collections.abc import AsyncIterator
from contextlib import suppress

from engine.errors import LocalError

_CHUNK_BYTES = 1 << 16


async def lines_of(descriptor: int) -> AsyncIterator[str]:
    """Lines without their ends, which any system may have written (an empty line more does no harm). Bytes that are
    not UTF-8 survive as surrogates: a path may have them. Raises LocalError.
    """
    rest = b""
    while chunk := await _next_of(descriptor):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            yield os.fsdecode(line)
    if rest:
        yield os.fsdecode(rest)


async def _next_of(descriptor: int) -> bytes:
    try:
        return await _read(descriptor)
    except OSError as error:
        raise LocalError(f"the commands cannot be read from standard input: {error.strerror}", "no_input") from error


async def ask_on_terminal(question: str) -> str:
    """A password typed on the controlling terminal without echo, whatever stdin is."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        raise LocalError(
            "no password was given and there is no terminal to ask on; write it after the user id", code="no_password"
        ) from None
    try:
        return await _ask_without_echo(terminal, question)
    finally:
        os.close(terminal)


async def _ask_without_echo(terminal: int, question: str) -> str:
    before = termios.tcgetattr(terminal)
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSAFLUSH, silent)
    try:
        os.write(terminal, question.encode())
        answer = await _read(terminal)
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
        os.write(terminal, b"\n")
    if not answer:
        raise LocalError("no password was typed", code="no_password")
    return os.fsdecode(answer).rstrip("\n")


async def _read(descriptor: int) -> bytes:
    """What comes next, b"" at the end. Raises OSError."""
    loop = asyncio.get_running_loop()
    while True:
        is_ready = asyncio.Event()
        try:
            loop.add_reader(descriptor, is_ready.set)
        except PermissionError:
            # A regular file or /dev/null: it cannot be polled, and reading it does not block.
            return os.read(descriptor, _CHUNK_BYTES)
        try:
            await is_ready.wait()
        finally:
            loop.remove_reader(descriptor)
        # Another program may read the same pipe, be quicker, and have made it non-blocking.
        with suppress(BlockingIOError):
            return os.read(descriptor, _CHUNK_BYTES)
