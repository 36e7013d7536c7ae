"""The lines typed before, kept in a file of the state folder for the next session.

The folder is known only when the client has started, so what is typed before that is written then.

Invariant: the file is readable by its owner alone and holds no password (history decides what may be kept).
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from prompt_toolkit.history import FileHistory

from engine.shell.terminal.history import without_passwords

if TYPE_CHECKING:
    from engine.client.client import Client


class HistoryFile(FileHistory):
    """`starting`: gives the client once it has started."""

    def __init__(self, starting: "asyncio.Future[Client]") -> None:
        super().__init__("")
        self._starting = starting
        self._is_open = False

    async def load(self) -> AsyncGenerator[str, None]:
        if not self._is_open:
            await asyncio.wait({self._starting})
            if self._starting.cancelled() or self._starting.exception() is not None:
                return
            self._open(self._starting.result().state_folder / "history")
        async for entry in super().load():
            yield entry

    def append_string(self, string: str) -> None:
        kept = without_passwords(string).encode(errors="replace").decode()
        if kept:
            super().append_string(kept)

    def store_string(self, string: str) -> None:
        if self._is_open:
            with suppress(OSError):  # a full disk must not take the prompt away
                super().store_string(string)

    def _open(self, path: Path) -> None:
        early = list(reversed(self._loaded_strings))
        self.filename = str(path)
        with suppress(OSError):
            path.touch(mode=0o600)
        self._is_open = True
        for string in early:
            self.store_string(string)
