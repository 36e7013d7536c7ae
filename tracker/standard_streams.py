"""The standard streams of both programs, in whatever state they are at the start: closed, full, or a pipe without a
reader.

A descriptor from 0 to 2 that is closed is opened on the null device before anything else is opened. Otherwise the next
socket or database would get its number, and printed text would go there. Writing to a stream never raises; a failure is
kept, and decides the exit code. If `out` cannot be written the program ends (`on_unwritable`), because its output is
what it was asked for; a message on `err` may be lost without that.

Invariant: whatever the streams are, the user reads at most one sentence about them, on a stream that still works.

Not for: reading standard input, deciding what is written.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

READER_GONE = 141
"""What a shell reports of a program that was ended by SIGPIPE."""
FAILED = 1

OnUnwritable = Callable[[], object]


class StandardStreams:
    """`out` is for what the program was asked for, `err` for everything else. Writing to either never raises."""

    def __init__(self) -> None:
        self.out, self._out = _open(1, sys.stdout)
        self.err, self._err = _open(2, sys.stderr)

    def on_unwritable(self, call: OnUnwritable) -> None:
        """Sets what is called, once, when `out` cannot be written."""
        self._out.on_failure = call

    def end(self, code: int) -> int:
        """Writes what is still to be written, and reports what could not be. Returns the exit code."""
        with suppress(ValueError):  # closed by somebody: then nothing waits in it
            self.out.flush()
        failure = self._out.failure
        if failure is not None and not isinstance(failure, BrokenPipeError):
            print(f"error: standard output cannot be written: {failure.strerror}", file=self.err)
        with suppress(ValueError):
            self.err.flush()
        failures = [stream.failure for stream in (self._out, self._err) if stream.failure is not None]
        if any(isinstance(each, BrokenPipeError) for each in failures):
            return READER_GONE
        return code or (FAILED if failures else 0)


def run_with_streams(program: Callable[[StandardStreams], int]) -> int:
    """Runs the program, with both streams also in the place of Python's own. Returns its exit code, or the one that the
    streams require.
    """
    _fill_descriptors()
    _insist_on_utf8()
    streams = StandardStreams()
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115 (for as long as the process lives)
    sys.stdout, sys.stderr = streams.out, streams.err
    try:
        code = program(streams)
    except SystemExit as leaving:  # argparse: 0 after --help, 2 after wrong usage
        code = leaving.code if isinstance(leaving.code, int) else FAILED
    return streams.end(code)


class _Writer(io.FileIO):
    """A descriptor that is written until it fails once. What comes later is dropped."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.failure: OSError | None = None
        self.on_failure: OnUnwritable = bool

    def write(self, data: "ReadableBuffer", /) -> int:
        while self.failure is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.failure = error
                self.on_failure()
                break
            if written is not None:
                return written
            # Somebody who has the same pipe or terminal made it non-blocking.
            select.select([], [self], [])
        return memoryview(data).nbytes


def _open(descriptor: int, given: TextIO | None) -> tuple[io.TextIOWrapper, _Writer]:
    """With the encoding that Python found; characters that it lacks are written as escapes."""
    writer = _Writer(descriptor)
    encoding = given.encoding if given is not None else "utf-8"
    text = io.TextIOWrapper(io.BufferedWriter(writer), encoding, "backslashreplace", line_buffering=True)
    return text, writer


def _fill_descriptors() -> None:
    for descriptor in (0, 1, 2):
        if not _is_open(descriptor):
            number = os.open(os.devnull, os.O_RDWR)  # the lowest that is free, so it is this one
            os.set_inheritable(number, True)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError as error:
        return error.errno != errno.EBADF
    return True


def _insist_on_utf8() -> None:
    """Names of users, groups and files are UTF-8 on every machine. In a locale of another encoding Python would misread
    typed text and every path, so the program starts itself again in Python's UTF-8 mode.
    """
    if sys.getfilesystemencoding() == "utf-8" or os.environ.get("PYTHONUTF8") == "1" or not sys.executable:
        return
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], os.environ | {"PYTHONUTF8": "1"})
