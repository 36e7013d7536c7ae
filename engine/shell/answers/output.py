"""Answers as people and as programs read them.

With --json every line on stdout is one JSON object (ASCII, flushed at once), of one of four shapes:

    {"command": C, "ok": true, ...fields}                       the result of a command
    {"command": C, "ok": false, "error": {"code", "message"}}   its refusal; C is null if no command was understood
    {"notice": code, "message": text}                           something that happened by itself
    {"command": C, "progress": {...}}                           an upload or a download, at most once a second

Fields of the results (bytes and seconds are plain numbers, `root` is the BLAKE3 id of a file in hexadecimal):

    create_user                       user_id
    login                             user_id, shares_resumed, downloads_resumed,
                                      shares_dropped: [{group_id, name, path, reason}],
                                      shares_waiting: [as of show_shares]
    create_group                      group_id, is_open
    join_group                        group_id
    leave_group                       group_id, new_owner (or null), is_removed
    list_requests                     group_id, requests: [user_id]
    accept_request, reject_request    group_id, user_id
    list_groups                       groups: [{group_id, owner, member_count, standing, is_open}]
                                      standing: "owner", "member", "requested" or "none"
    list_files                        group_id, files: [{name, size_bytes, root, publisher, sharers_online,
                                      partial_online}] (people with all of it; with a part of it)
    upload_file                       group_id, name, path, size_bytes, root, was_known, seconds, has_replaced,
                                      hashed_bytes, rate_bytes_per_s
    download_file                     group_id, name, path, state, size_bytes, verified_bytes, rate_bytes_per_s,
                                      peers_connected, bytes_by_peer: {user_id: bytes}, seconds, waiting_s, error,
                                      error_code, checked_bytes, check_bytes, fetched_bytes, reused_bytes,
                                      wasted_bytes, copied_from (a path, or null), why_waiting (or null), waiting_for:
                                      [{user_id, host, port, tries, cause, since_s}]; what each means is said in
                                      engine.reports.DownloadStatus
    show_downloads                    downloads: [as of download_file]; state: "following", "checking", "copying",
                                      "waiting", "downloading", "no_space", "finishing", "complete", "paused", "stuck",
                                      "failed" or "cancelled"
    cancel_download                   group_id, name
    show_shares                       shares: [{group_id, name, path, size_bytes, state, reason, checked_bytes}]
                                      state: "served", "rereading", "missing" or "unreadable"
    stop_share                        group_id, name, is_removed, is_pending, was_shared,
                                      still_shared_by: [user_id], is_shared_elsewhere
    help                              commands: [{name, usage, summary, details}]
    logout, serve, exit               none
    progress                          group_id, name, state (of an upload: "hashing"), done_bytes, size_bytes (while
                                      "checking" or "copying": of that),
                                      rate_bytes_per_s, peers_connected (null where a file of this disk is read)

Invariant: no control character of a name or a message reaches a stream as such, and nothing waits in a buffer.
Not for: what a result says (sentences).
"""

import json
import time
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct, to_builtins

from engine.errors import ShoalError
from engine.reports import Event, Notice
from engine.shell.answers import figures, safe_text
from engine.shell.answers.pace import Pace

_COLUMNS_OF_A_NARROW_TERMINAL = 79
_CLEAR_LINE = "\r\x1b[K"
_HUMAN_PROGRESS_S = 2.0
_HUMAN_PROGRESS_PERCENT = 10
_LIVE_PROGRESS_S = 0.1
_JSON_PROGRESS_S = 1.0

Clock = Callable[[], float]


class Result(Struct, frozen=True):
    """What a command achieved: `text` for people (safe_text, lines joined by newlines), `fields` for programs."""

    text: str
    fields: dict[str, object] = {}


class Remark(Notice, frozen=True):
    """What the shell itself has to say beside its answers."""

    code: str
    text: str

    def __str__(self) -> str:
        return self.text


class Progress(Struct, frozen=True):
    """One moment of an upload or a download."""

    command: str
    group_id: str
    name: str
    state: str
    done_bytes: int
    size_bytes: int
    rate_bytes_per_s: float
    peers_connected: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        return self.command, self.group_id, self.name


class Stream(Protocol):
    """As much of a text stream as print needs."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


class Output(Protocol):
    """Where the outcome of commands goes."""

    def result(self, command: str, result: Result) -> None: ...

    def error(self, command: str | None, error: ShoalError) -> None: ...

    def notice(self, notice: Notice) -> None: ...

    def progress(self, progress: Progress) -> None: ...

    def end_progress(self, progress: Progress) -> None:
        """The work that `progress` was about is over, well or not."""
        ...


def notices_to(output: Output) -> Callable[[Event], None]:
    """A subscriber of the client that says what a user should know."""

    def hear(event: Event) -> None:
        if isinstance(event, Notice):
            output.notice(event)

    return hear


class HumanOutput:
    """Results on one stream, everything else on another; progress as a live line where that is a terminal."""

    def __init__(self, results: Stream, asides: Stream, *, is_live: bool, now_s: Clock = time.monotonic) -> None:
        self._results = results
        self._asides = asides
        self._is_live = is_live
        self._has_live_line = False
        self._pace = (
            Pace(now_s, _LIVE_PROGRESS_S) if is_live else Pace(now_s, _HUMAN_PROGRESS_S, _HUMAN_PROGRESS_PERCENT)
        )

    def result(self, command: str, result: Result) -> None:
        self._write(self._results, result.text)

    def error(self, command: str | None, error: ShoalError) -> None:
        self._write(self._asides, f"error: {safe_text.printable(str(error))}")

    def notice(self, notice: Notice) -> None:
        self._write(self._asides, f"note: {safe_text.printable(str(notice))}")

    def progress(self, progress: Progress) -> None:
        if not self._pace.is_due(progress.key, progress.done_bytes, progress.size_bytes):
            return
        line = progress_line(progress)
        if not self._is_live:
            self._write(self._asides, line)
            return
        shown = safe_text.clipped(line, _COLUMNS_OF_A_NARROW_TERMINAL)
        print(_CLEAR_LINE + shown, end="", file=self._asides, flush=True)
        self._has_live_line = True

    def end_progress(self, progress: Progress) -> None:
        self._pace.forget(progress.key)
        self._clear_live_line()

    def _write(self, stream: Stream, text: str) -> None:
        if not text:
            return
        self._clear_live_line()
        print(text, file=stream, flush=True)

    def _clear_live_line(self) -> None:
        if self._has_live_line:
            print(_CLEAR_LINE, end="", file=self._asides, flush=True)
            self._has_live_line = False


class JsonOutput:
    """One JSON object a line, everything on one stream."""

    def __init__(self, stream: Stream, *, now_s: Clock = time.monotonic) -> None:
        self._stream = stream
        self._pace = Pace(now_s, _JSON_PROGRESS_S)

    def result(self, command: str, result: Result) -> None:
        self._write({"command": command, "ok": True, **result.fields})

    def error(self, command: str | None, error: ShoalError) -> None:
        self._write({"command": command, "ok": False, "error": {"code": error.code, "message": str(error)}})

    def notice(self, notice: Notice) -> None:
        self._write({"notice": notice.code, "message": str(notice)})

    def progress(self, progress: Progress) -> None:
        if self._pace.is_due(progress.key, progress.done_bytes, progress.size_bytes):
            fields = to_builtins(progress)
            self._write({"command": fields.pop("command"), "progress": fields})

    def end_progress(self, progress: Progress) -> None:
        self._pace.forget(progress.key)

    def _write(self, record: dict[str, object]) -> None:
        # ASCII: a name that is not valid Unicode, or a terminal that is not UTF-8, must not stop a program's log.
        # DEL is the one control character that json leaves as it is.
        line = json.dumps(record, ensure_ascii=True).replace("\x7f", "\\u007f")
        print(line, file=self._stream, flush=True)


def progress_line(progress: Progress) -> str:
    done, whole = progress.done_bytes, progress.size_bytes
    parts = [
        f"{figures.bar(done, whole)} {figures.percent(done, whole):3} %",
        f"{figures.size(done)} of {figures.size(whole)}",
    ]
    if progress.state in ("downloading", "hashing") or (progress.state == "checking" and progress.rate_bytes_per_s):
        parts.append(figures.rate(progress.rate_bytes_per_s))
        if progress.rate_bytes_per_s >= 1:
            parts.append(f"{figures.duration((whole - done) / progress.rate_bytes_per_s)} left")
    if progress.state != "downloading":
        parts.append(progress.state)
    if progress.peers_connected is not None:
        parts.append(figures.count(progress.peers_connected, "peer"))
    parts.append(safe_text.name(progress.name))
    return "  ".join(parts)
