"""A text stream to a terminal that may show a prompt: text appears above the prompt, or at once if there is none.

prompt_toolkit's patch_stdout writes from a thread of its own. Text that was written just before a prompt appeared could
land in the middle of it, and the prompt was not visible until a key was hit. Here the event loop writes the text and
draws the prompt, so the stream knows whether there is a prompt.

Invariant: text appears whole and in the order in which it was written, and a prompt is drawn again below it.
Not for: the prompt (prompt), its live line (prompt_output), threads.
"""

import asyncio
from contextlib import suppress
from typing import TextIO

from prompt_toolkit.application import get_app_or_none
from prompt_toolkit.application.run_in_terminal import run_in_terminal


class AbovePrompt:
    def __init__(self, terminal: TextIO) -> None:
        self._terminal = terminal
        self._said: list[str] = []
        self._drawing: asyncio.Future[None] | None = None

    def write(self, text: str) -> None:
        self._said.append(text)

    def flush(self) -> None:
        prompt = get_app_or_none()
        if prompt is None or not prompt.is_running:
            self._show()
        elif self._drawing is None or self._drawing.done():
            self._drawing = asyncio.ensure_future(run_in_terminal(self._show))

    def _show(self) -> None:
        text = "".join(self._said)
        self._said.clear()
        with suppress(OSError):  # the terminal has gone; the signal that says so ends the session
            self._terminal.write(text)
            self._terminal.flush()
