"""Writes the traceback of a bug into a file of the state folder. The user reads one line that names the file.

A user can do nothing with a traceback, and a developer needs all of it.

Invariant: recording never raises, and only the owner can read the file.
Not for: expected failures, which are ShoalErrors with sentences of their own.
"""

import os
import tempfile
import traceback
from asyncio import AbstractEventLoop
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engine.errors import ShoalError


class IncidentLog:
    """`folder`: the state folder, once it is known; before that, the folder for temporary files is used."""

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder if folder and os.path.isdir(folder) else None

    def record(self, bug: BaseException) -> ShoalError:
        """Writes the traceback, and returns the error for the user."""
        entry = f"--- {datetime.now(UTC).isoformat()}\n{''.join(traceback.format_exception(bug))}"
        try:
            path = (self.folder or Path(tempfile.gettempdir())) / "shoal-errors.log"
            _append(path, entry)
            where = f"the details are in {path}"
        except OSError as failure:  # also where there is no folder for temporary files
            where = f"the details could not be written ({failure})"
        return ShoalError(f"internal: {type(bug).__name__}: {bug}. This is a bug in Shoal; {where}", code="internal")

    def watch(self, loop: AbstractEventLoop, say: Callable[[ShoalError], None]) -> None:
        """From now on a bug in a background task is recorded and passed to `say`, instead of printed by asyncio."""

        def report(_: AbstractEventLoop, context: dict[str, Any]) -> None:
            say(self.record(context.get("exception") or RuntimeError(context["message"])))

        loop.set_exception_handler(report)


def _append(path: Path, entry: str) -> None:
    # O_NOFOLLOW: before there is a state folder this is the shared temporary folder, where a link could be waiting.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with open(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(entry)
