"""Answers at a prompt: they appear above it, and what is being moved is one live line below it.

Invariant: the live line is drawn anew while something moves, twice a second, and not otherwise.
Not for: how an answer is worded (answers), how text gets above the prompt (above_prompt).
"""

import time
from collections.abc import Callable

from engine.errors import ShoalError
from engine.shell.answers import figures
from engine.shell.answers.output import HumanOutput, Progress, progress_line
from engine.shell.terminal.above_prompt import AbovePrompt

_REFRESH_S = 0.5
_SAID_ALREADY = ("cancelled", "paused")
"""How a download ends by cancel_download or logout: that command was answered itself."""
_IDLE = "nothing is being moved; help lists the commands, Tab completes"


class PromptOutput(HumanOutput):
    """`moving`: the latest progress of each upload and download. `redraw` is called when the live line is another."""

    def __init__(self, above: AbovePrompt, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(above, above, is_live=False)
        self.moving: dict[tuple[str, str, str], Progress] = {}
        self.redraw: Callable[[], None] = lambda: None
        self._now_s, self._drawn_at_s = now_s, -_REFRESH_S

    def error(self, command: str | None, error: ShoalError) -> None:
        if error.code not in _SAID_ALREADY:
            super().error(command, error)

    def progress(self, progress: Progress) -> None:
        self.moving[progress.key] = progress
        if self._now_s() - self._drawn_at_s >= _REFRESH_S:
            self._drawn_at_s = self._now_s()
            self.redraw()

    def end_progress(self, progress: Progress) -> None:
        if self.moving.pop(progress.key, None) is not None:
            self.redraw()

    def live_line(self) -> str:
        moving = list(self.moving.values())
        if not moving:
            return _IDLE
        if len(moving) == 1:
            return progress_line(moving[0])
        done = sum(progress.done_bytes for progress in moving)
        whole = sum(progress.size_bytes for progress in moving)
        rate = sum(progress.rate_bytes_per_s for progress in moving)
        return (
            f"{figures.bar(done, whole)} {figures.percent(done, whole):3} %  {figures.size(done)} of "
            f"{figures.size(whole)}  {figures.rate(rate)}  {len(moving)} files"
        )
