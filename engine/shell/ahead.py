"""Uploads of small files, begun while those before them are still waiting for the tracker.

Done one after the other, each small file waits for two answers of the tracker and for a write to the tracker's disk.
Begun together, their announcements travel together, and the tracker writes several of them at once.

Invariants: answers are printed in the order of the commands, each as soon as possible. Any other command begins when
all commands before it were answered; so does an upload whose name in its group is that of an upload under way.
Not for: large files, which keep the whole pool busy one at a time (and whose progress is shown).
"""

import asyncio
import os
import stat
import unicodedata
from collections import deque
from collections.abc import Awaitable

from engine.errors import ShoalError
from engine.shell.actions import ACTIONS
from engine.shell.answers.output import Result
from engine.shell.commands import Invocation, parse
from engine.shell.lines import read_line
from engine.shell.runner import Runner

_SMALL_BYTES = 1 << 20
_AT_ONCE_MAX = 32


class Ahead:
    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._reports: deque[asyncio.Task[bool]] = deque()
        self._under_way: set[tuple[str, str]] = set()

    async def begin(self, upload: Invocation) -> None:
        """Begin an upload. Waits only if many are under way, or one of the same name."""
        key = _key_of(upload)
        while self._reports and (len(self._reports) >= _AT_ONCE_MAX or key in self._under_way):
            await self._first_reported()
        self._under_way.add(key)
        work = asyncio.create_task(_run(self._runner, upload))
        work.add_done_callback(lambda _: self._under_way.discard(key))
        before = self._reports[-1] if self._reports else None
        self._reports.append(asyncio.create_task(self._runner.report(upload.command.name, _after(before, work))))

    async def finish(self) -> None:
        """Returns when all were answered."""
        while self._reports:
            await self._first_reported()

    async def close(self) -> bool:
        """Cancel the uploads that were not answered yet. Returns whether there was one."""
        left = [report for report in self._reports if not report.done()]
        for report in left:
            report.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        self._reports.clear()
        return bool(left)

    async def _first_reported(self) -> None:
        await asyncio.wait([self._reports[0]])
        self._reports.popleft().result()


def small_upload(line: str) -> Invocation | None:
    """The command of this line, if it uploads a small file."""
    try:
        words, comment = read_line(line)
        if words[:1] != ["upload_file"] or comment:
            return None
        invocation = parse(words)
    except ShoalError:
        return None
    try:
        status = os.stat(os.path.expanduser(invocation.arguments[0]))
    except (OSError, ValueError):
        return None
    return invocation if stat.S_ISREG(status.st_mode) and status.st_size <= _SMALL_BYTES else None


def _key_of(upload: Invocation) -> tuple[str, str]:
    """Equal for what a group takes for one name."""
    path, group_id = upload.arguments
    return group_id.casefold(), unicodedata.normalize("NFC", os.path.basename(path))


async def _run(runner: Runner, upload: Invocation) -> Result:
    result: Result = await ACTIONS[upload.command.name](runner.context, *upload.arguments)
    return result


async def _after(before: Awaitable[bool] | None, work: "asyncio.Task[Result]") -> Result:
    try:
        if before is not None:
            await asyncio.wait([asyncio.ensure_future(before)])
        return await work
    finally:
        work.cancel()
