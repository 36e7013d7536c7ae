"""Signals cancel a task instead of ending the process, so that leaving by a signal is as clean as leaving by `exit`.

Invariant: outside the `with` block signals have their usual effect, so a second Ctrl-C ends a client that is closing.
Not for: what the cancelled task does about it.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from signal import Signals
from typing import Any

STOPPING = (Signals.SIGINT, Signals.SIGTERM, Signals.SIGHUP)


@contextmanager
def while_signals_cancel(task: "asyncio.Task[Any] | None", numbers: Sequence[Signals]) -> Iterator[Callable[[], None]]:
    """Yields a function that does the same as a signal."""
    if task is None:
        raise RuntimeError("there is no task to cancel")

    def cancel_once() -> None:
        # A second cancellation would hit the next thing awaited, which is the closing of the client.
        if not task.cancelling():
            task.cancel()

    with while_signals_call(cancel_once, numbers):
        yield cancel_once


@contextmanager
def while_signals_call(handler: Callable[[], object], numbers: Sequence[Signals]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    # Under nohup a hangup is to be ignored, and stays so.
    taken = [n for n in numbers if n != Signals.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    for number in taken:
        loop.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)
