"""Driven by a script or another program: one command a line, one after the other, to the end of the input.

Invariant: an error ends its command, not the run. The commands have the same effects and answers as if each began after
the answer of the one before it (see ahead).
Not for: people at a terminal (prompt), leaving the client (app).
"""

import asyncio
from collections.abc import AsyncIterator

from engine.errors import LocalError
from engine.shell.ahead import Ahead, small_upload
from engine.shell.commands import LEAVING
from engine.shell.runner import Runner


async def run_lines(runner: Runner, lines: AsyncIterator[str]) -> None:
    ahead = Ahead(runner)
    try:
        async for line in lines:
            await asyncio.sleep(0)  # what ends the run (a signal, unwritable output) ends it before the next command
            upload = small_upload(line)
            if upload is not None:
                await ahead.begin(upload)
                continue
            await ahead.finish()
            if await _run_line(runner, line):
                return
        await ahead.finish()
    except asyncio.CancelledError:
        if await ahead.close():
            runner.fail("upload_file", LocalError("upload_file was interrupted", code="interrupted"))
        raise
    finally:
        await ahead.close()


async def _run_line(runner: Runner, line: str) -> bool:
    """Whether it was the last."""
    invocation = runner.read(line)
    if invocation is None:
        return False
    name = invocation.command.name
    try:
        is_done = await runner.run(invocation)
    except asyncio.CancelledError:
        runner.fail(name, LocalError(f"{name} was interrupted", code="interrupted"))
        raise
    return is_done and name in LEAVING
