"""A running download, followed until it is over: its progress, what holds it up, and how it ended.

The client keeps the download and tells its subscribers how it goes on; this file only listens. So a download can be
followed by the line that started it or, after a login that resumed it, without any line.

Invariant: following changes nothing, and giving it up leaves the download running.
Not for: starting or stopping downloads (actions).
"""

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from msgspec import to_builtins

from engine.client.events import DownloadEnded, DownloadProgressed, Event
from engine.errors import LocalError, ShoalError
from engine.reports import DownloadState, DownloadStatus
from engine.shell.answers import sentences
from engine.shell.answers.output import Output, Progress, Remark, Result
from engine.shell.answers.safe_text import name

if TYPE_CHECKING:
    from engine.client.client import Client

OVER: frozenset[DownloadState] = frozenset({"complete", "stuck", "failed", "cancelled"})


async def finish_download(
    client: "Client", output: Output, status: DownloadStatus, give_up_at_s: float | None = None
) -> Result:
    """Returns when the download is complete. Raises ShoalError if it ended in any other way, or is not complete at
    `give_up_at_s` (time.monotonic()).
    """
    following = _Following(output, status)
    unsubscribe = client.subscribe(following.hear)
    try:
        async with asyncio.timeout(None if give_up_at_s is None else max(0.0, give_up_at_s - monotonic())):
            final = await client.wait_download(status.group_id, status.name)
    except TimeoutError:
        raise LocalError(sentences.not_in_time(_now(client, status)), code="timeout") from None
    finally:
        unsubscribe()
        following.end()
    return _result(final)


def _now(client: "Client", last: DownloadStatus) -> DownloadStatus:
    if client.user_id is None:
        return last
    wanted = (last.group_id, last.name)
    return next((each for each in client.show_downloads() if (each.group_id, each.name) == wanted), last)


def _result(final: DownloadStatus) -> Result:
    if final.state == "cancelled":
        raise LocalError(f"the download of {name(final.name)} was cancelled", code="cancelled")
    if final.state == "paused":
        raise LocalError(f"the download of {name(final.name)} goes on after the next login", code="paused")
    if final.state in ("failed", "stuck"):
        sentence = final.error or f"the download of {name(final.name)} failed"
        raise ShoalError(sentence, code=final.error_code or "download_failed")
    return Result(sentences.downloaded(final), to_builtins(final))


class _Following:
    """Says on the output what a subscriber hears of one download. `status` is the latest."""

    def __init__(self, output: Output, status: DownloadStatus) -> None:
        self._output = output
        self._said: DownloadState = "downloading"
        self.status = status
        self._show(status)

    def hear(self, event: Event) -> None:
        match event:
            case DownloadProgressed(status) | DownloadEnded(status) if self._is_this(status):
                self.status = status
                self._show(status)

    def end(self) -> None:
        self._output.end_progress(_progress(self.status))

    def _is_this(self, status: DownloadStatus) -> bool:
        return (status.group_id, status.name) == (self.status.group_id, self.status.name)

    def _show(self, status: DownloadStatus) -> None:
        if status.state != self._said:
            self._said = status.state
            self._say_state(status)
        if status.state not in OVER and (status.state not in ("checking", "copying") or status.check_bytes):
            self._output.progress(_progress(status))

    def _say_state(self, status: DownloadStatus) -> None:
        if status.state != "following":
            return
        leader = name(status.copied_from or "")
        said = "has the same content as"
        text = f"{name(status.name)} {said} {leader}, which is being downloaded; it is copied when that is complete"
        self._output.notice(Remark("download_following", text))


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
