"""A text stream onto a terminal that may have a prompt: what is said appears above the prompt, or at once without one.

prompt_toolkit's own way, patch_stdout, writes from a thread of its own: what was said just before a prompt appeared
could be written right into it, and the prompt was not to be seen until a key was hit. Everything here is said by the
event loop, and so is the prompt; so a stream of the same thread knows whether there is one.

Invariant: text appears whole and in the order it was said, and a prompt is drawn anew below it.
Not for: the prompt and its live line (prompt), threads.
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
