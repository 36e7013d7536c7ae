"""The process around one worker: which signals it ignores, when it ends, what it cleans up.

Invariant: when the coordinator's end of the socket closes, the process ends; it never outlives its client.
Not here: what a worker does (worker).
"""

import asyncio
import contextlib
import gc
import os
import shutil
import signal
import socket
from pathlib import Path

from engine.ipc import fork_folder
from engine.ipc.ticket_check import CheckTicket
from engine.process import descriptor_limit
from engine.settings import Settings
from engine.worker.worker import Worker


def main(
    connected: socket.socket, settings: Settings, check_ticket: CheckTicket, client_pid: int, folder: Path
) -> None:
    """Runs the process until the socket closes. `folder`: see ipc.fork_folder."""
    try:
        client = os.pidfd_open(client_pid)
    except ProcessLookupError:  # it was killed while this process came into being
        shutil.rmtree(folder, ignore_errors=True)
        return
    # A signal to the whole group, as from Ctrl-C, is for the coordinator, which then ends its workers in order.
    for asked_to_end in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(asked_to_end, signal.SIG_IGN)
    descriptor_limit.raise_to_hard_limit()
    gc.freeze()  # what was imported is there to stay: no need to look at it again
    with contextlib.suppress(KeyboardInterrupt):
        if not asyncio.run(_run(connected, settings, check_ticket)):
            fork_folder.remove_after(client, folder)
    os._exit(0)  # a hashing thread may be deep in a read; nothing here needs an orderly interpreter shutdown


async def _run(connected: socket.socket, settings: Settings, check_ticket: CheckTicket) -> bool:
    """Whether the client ended the worker, and did not just disappear."""
    worker = Worker(connected, settings, check_ticket)
    await worker.wait_closed()
    return worker.is_dismissed
