"""The commands about files: each is one call of the client, and its report as a Result.

An upload and a download show their progress. Not for: which words a command takes (commands), errors (runner).
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from msgspec import to_builtins

from engine.errors import LocalError
from engine.shell.answers import sentences
from engine.shell.answers.output import Progress, Remark, Result
from engine.shell.answers.safe_text import name
from engine.shell.context import Context
from engine.shell.following import finish_download

_TIMEOUT_S_MAX = 1e9


async def upload_file(context: Context, file_path: str, group_id: str) -> Result:
    path = Path(_typed_path("file_path", file_path))
    on_progress, end_progress = _reading(context, "upload_file", group_id, path.name, "hashing")
    try:
        report = await context.client.upload_file(path, group_id, on_progress)
    finally:
        end_progress()
    return Result(sentences.uploaded(report), to_builtins(report))


async def download_file(
    context: Context, group_id: str, file_name: str, destination_path: str, *, timeout: str | None = None
) -> Result:
    give_up_at_s = monotonic() + _timeout_s(timeout) if timeout is not None else None
    on_progress, end_progress = _reading(context, "download_file", group_id, file_name, "checking")
    try:
        # As text, since a path object forgets the slash at its end, by which a user says "a folder".
        destination = _typed_path("destination_path", destination_path)
        status = await context.client.download_file(group_id, file_name, destination, on_progress)
    finally:
        end_progress()
    if status.state == "complete":
        return Result(sentences.already_there(status), to_builtins(status))
    return await finish_download(context.client, context.output, status, give_up_at_s)


async def show_downloads(context: Context) -> Result:
    statuses = context.client.show_downloads()
    return Result(sentences.downloads(statuses), {"downloads": to_builtins(statuses)})


async def cancel_download(context: Context, group_id: str, file_name: str) -> Result:
    await context.client.cancel_download(group_id, file_name)
    return Result(f"gave up the download of {name(file_name)}", {"group_id": group_id, "name": file_name})


async def show_shares(context: Context) -> Result:
    statuses = context.client.show_shares()
    return Result(sentences.shares(statuses), {"shares": to_builtins(statuses)})


async def stop_share(context: Context, group_id: str, file_name: str) -> Result:
    report = await context.client.stop_share(group_id, file_name)
    return Result(sentences.stopped(report), to_builtins(report))


async def serve(context: Context) -> Result:
    if context.client.user_id is None:
        raise LocalError("nothing is served before login; log in first", code="not_logged_in")
    context.output.notice(Remark("serving", "sharing until interrupted (Ctrl-C)"))
    # Being interrupted is how serving ends well, so this cancellation goes no further.
    with suppress(asyncio.CancelledError):
        await asyncio.get_running_loop().create_future()
    return Result("stopped sharing")


def _timeout_s(typed: str) -> float:
    """Raises LocalError (code "usage")."""
    try:
        timeout_s = float(typed)
    except ValueError:
        timeout_s = -1.0
    if not 0 <= timeout_s <= _TIMEOUT_S_MAX:
        raise LocalError(f"--timeout takes a number of seconds, not {name(typed)}", "usage")
    return timeout_s


def _reading(
    context: Context, command: str, group_id: str, file_name: str, state: str
) -> tuple[Callable[[int, int], None], Callable[[], None]]:
    """What to call while a file of this disk is read, and when that is over."""
    start_s = monotonic()

    def on_progress(done_bytes: int, size_bytes: int) -> None:
        rate = done_bytes / max(monotonic() - start_s, 1e-3)
        context.output.progress(Progress(command, group_id, file_name, state, done_bytes, size_bytes, rate))

    def end_progress() -> None:
        context.output.end_progress(Progress(command, group_id, file_name, state, 0, 0, 0.0))

    return on_progress, end_progress


def _typed_path(parameter: str, word: str) -> str:
    """With the home in the place of ~. A variable that is not set is not the current folder."""
    if not word:
        raise LocalError(f"<{parameter}> is empty; write a path, or . for the current folder", "usage")
    path = os.path.expanduser(word)
    if path.startswith("~") and not os.path.lexists(path):
        user = path.partition("/")[0]
        raise LocalError(f"there is no home {name(user)}; write ./{name(path)} for a path that begins so", "usage")
    return path
