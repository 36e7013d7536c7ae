"""Driven by a script or another program: one command a line, one after the other, to the end of the input.

Invariant: an error ends its command, not the run.
Not for: people at a terminal (prompt), leaving the client (app).
"""

import asyncio
from collections.abc import AsyncIterator

from engine.errors import LocalError
from engine.shell.commands import LEAVING
from engine.shell.runner import Runner


async def run_lines(runner: Runner, lines: AsyncIterator[str]) -> None:
    async for line in lines:
        await asyncio.sleep(0)  # what ends the run (a signal, unwritable output) ends it before the next command
        invocation = runner.read(line)
        if invocation is None:
            continue
        name = invocation.command.name
        try:
            is_done = await runner.run(invocation)
        except asyncio.CancelledError:
            runner.fail(name, LocalError(f"{name} was interrupted", code="interrupted"))
            raise
        if is_done and name in LEAVING:
            return
