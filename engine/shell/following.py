"""A running download, watched until it is over: its progress, what holds it up, and how it ended.

The client keeps the download; whoever started it here only looks on. So it can be followed by the line that started it
or, after a login that resumed it, by nobody's line.

Invariant: following changes nothing, and giving it up leaves the download running.
Not for: starting or stopping downloads (actions).
"""

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from msgspec import to_builtins

from engine.errors import LocalError, ShoalError
from engine.reports import DownloadState, DownloadStatus, Notice
from engine.shell.answers import sentences
from engine.shell.answers.output import Output, Progress, Result
from engine.shell.answers.safe_text import name

if TYPE_CHECKING:
    from engine.client.client import Client

OVER: frozenset[DownloadState] = frozenset({"complete", "stuck", "failed", "cancelled"})
_LOOK_EVERY_S, _LOOK_WHILE_WAITING_S = 0.2, 1.0


async def finish_download(
    client: "Client", output: Output, status: DownloadStatus, give_up_at_s: float | None = None
) -> Result:
    """Returns when the download is complete; raises ShoalError if it ended in any other way, or is not by then
    (time.monotonic()).
    """
    final = await _watch(client, output, status, give_up_at_s)
    if final.state == "cancelled":
        raise LocalError(f"the download of {name(final.name)} was cancelled", code="cancelled")
    if final.state == "paused":
        raise LocalError(f"the download of {name(final.name)} goes on after the next login", code="paused")
    if final.state in ("failed", "stuck"):
        sentence = final.error or f"the download of {name(final.name)} failed"
        raise ShoalError(sentence, code=final.error_code or "download_failed")
    return Result(sentences.downloaded(final), to_builtins(final))


async def _watch(
    client: "Client", output: Output, status: DownloadStatus, give_up_at_s: float | None
) -> DownloadStatus:
    """Until it is over; raises LocalError when time is (code "timeout")."""
    over = asyncio.ensure_future(client.wait_download(status.group_id, status.name))
    said: DownloadState = "downloading"
    try:
        while not over.done():
            if status.state != said:
                said = status.state
                _say_state(output, status)
            if status.state not in OVER and (status.state not in ("checking", "copying") or status.check_bytes):
                output.progress(_progress(status))
            look_s = _LOOK_WHILE_WAITING_S if status.state == "waiting" else _LOOK_EVERY_S
            left_s = give_up_at_s - monotonic() if give_up_at_s is not None else look_s
            await asyncio.wait({over}, timeout=max(0.0, min(left_s, look_s)))
            status = _now(client, status)
            if left_s <= 0 and not over.done():
                raise LocalError(sentences.not_in_time(status), code="timeout")
        return over.result()
    finally:
        over.cancel()
        output.end_progress(_progress(status))


def _now(client: "Client", last: DownloadStatus) -> DownloadStatus:
    if client.user_id is None:
        return last  # a logout came in between; the download is about to report that it is paused
    wanted = (last.group_id, last.name)
    return next((s for s in client.show_downloads() if (s.group_id, s.name) == wanted), last)


def _say_state(output: Output, status: DownloadStatus) -> None:
    file = name(status.name)
    if status.state == "following":
        leader = name(status.copied_from or "")
        text = f"{file} has the same content as {leader}, which is being downloaded; it is copied when that is complete"
        output.notice(Notice("download_following", text))
    elif status.state == "paused":
        reason = f": {status.error}" if status.error else ""
        output.notice(Notice("download_paused", f"the download of {file} is paused{reason}"))


def _progress(status: DownloadStatus) -> Progress:
    is_checking = status.state in ("checking", "copying")
    return Progress(
        "download_file",
        status.group_id,
        status.name,
        status.state,
        status.checked_bytes if is_checking else status.verified_bytes,
        status.check_bytes if is_checking else status.size_bytes,
        status.rate_bytes_per_s,
        None if is_checking else status.peers_connected,
    )
