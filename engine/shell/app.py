"""One run of the shell: which way it is driven, how it ends, and its exit code.

Invariant: however a run ends (end of input, exit, a signal, a bug), the client is closed, which logs it out, and no
traceback reaches the user.
Not for: the arguments of the program (cli).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import LocalError, ShoalError
from engine.shell.answers.output import HumanOutput, JsonOutput, Output, notices_to
from engine.shell.context import Context
from engine.shell.incidents import IncidentLog
from engine.shell.piped import run_lines
from engine.shell.reading import ask_on_terminal, lines_of
from engine.shell.runner import Runner
from engine.shell.signals import STOPPING, while_signals_cancel
from tracker.standard_streams import StandardStreams

if TYPE_CHECKING:
    from engine.client.client import Client


class Options(NamedTuple):
    host: str
    port: int
    tracker_info: Path
    state_folder: Path | None
    is_json: bool


Start = Callable[[Options], Awaitable["Client"]]


async def start_client(options: Options) -> "Client":
    try:
        os.getcwd()
    except FileNotFoundError:
        raise LocalError("the current folder was removed; change to another and start again", "no_folder") from None
    # Numbers, TLS and the rest take a moment to import; in a thread the prompt is there meanwhile.
    client_type = await asyncio.to_thread(_import_client)
    return await client_type.start(options.host, options.port, options.tracker_info, options.state_folder)


def run(options: Options, streams: StandardStreams, start: Start = start_client) -> int:
    """The exit code: 0, or 1 if the client did not start, a command failed or there is a bug."""
    incidents = IncidentLog(options.state_folder)
    is_interactive = not options.is_json and os.isatty(0) and os.isatty(1)
    output = _output(options, streams)
    drive = _run_prompt if is_interactive else _run_piped
    try:
        return asyncio.run(drive(options, streams, start, output, incidents))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 1  # a second signal, while the client was closing
    except Exception as bug:
        output.error(None, incidents.record(bug))
        return 1


async def _run_piped(
    options: Options, streams: StandardStreams, start: Start, output: Output, incidents: IncidentLog
) -> int:
    incidents.watch(asyncio.get_running_loop(), lambda error: output.error(None, error))
    client: Client | None = None
    runner: Runner | None = None
    has_failed = False
    try:
        with while_signals_cancel(asyncio.current_task(), STOPPING) as cancel:
            streams.on_unwritable(cancel)
            client = await start(options)
            client.subscribe(notices_to(output))
            incidents.folder = client.state_folder
            runner = Runner(Context(client, output, ask_on_terminal), incidents)
            await run_lines(runner, lines_of(0))
    except asyncio.CancelledError:
        pass  # by a signal: the interrupted command was answered, and the signal asks to leave
    except ShoalError as error:
        has_failed = True
        output.error(None, error)
    finally:
        if client is not None:
            await client.close()
    return int(has_failed or runner is None or runner.has_failed)


async def _run_prompt(
    options: Options, streams: StandardStreams, start: Start, output: Output, incidents: IncidentLog
) -> int:
    from engine.shell.terminal.prompt import run_prompt

    return await run_prompt(start(options), incidents)


def _output(options: Options, streams: StandardStreams) -> Output:
    if options.is_json:
        streams.out.reconfigure(encoding="utf-8")  # which JSON is, whatever the terminal is
        return JsonOutput(streams.out)
    return HumanOutput(streams.out, streams.err, is_live=streams.err.isatty())


def _import_client() -> "type[Client]":
    from engine.client.client import Client

    return Client
