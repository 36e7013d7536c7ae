"""Driven by a person at a terminal: a prompt with history, completion and a live line of what is being moved.

An upload or a download that takes longer than half a second goes on in the background. The prompt is there before the
client has started. prompt_toolkit is imported in this room only, so that scripts do not wait for it.

Invariant: Ctrl-C ends at most the line or the command in the foreground; only leaving ends what runs in the background.
Not for: what commands do (runner, actions), what appears above and below the prompt (prompt_output).
"""

import asyncio
import sys
from collections.abc import Awaitable
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession

from engine.errors import LocalError, ShoalError
from engine.process.background_tasks import BackgroundTasks
from engine.shell.answers import figures, safe_text
from engine.shell.answers.output import HumanOutput, Remark, Result, notices_to
from engine.shell.commands import LEAVING, Invocation
from engine.shell.context import Context
from engine.shell.following import OVER, finish_download
from engine.shell.incidents import IncidentLog
from engine.shell.reading import ask_on_terminal
from engine.shell.runner import Runner
from engine.shell.signals import while_signals_call, while_signals_cancel
from engine.shell.terminal.above_prompt import AbovePrompt
from engine.shell.terminal.completion import KnownNames
from engine.shell.terminal.history_file import HistoryFile
from engine.shell.terminal.name_completer import NameCompleter
from engine.shell.terminal.prompt_output import PromptOutput

if TYPE_CHECKING:
    from engine.client.client import Client

_BLINK_S = 0.5


class _LineGivenUp(Exception):
    """Ctrl-C. A KeyboardInterrupt would leave the event loop instead of reaching the caller that awaits the line."""


async def run_prompt(starting: Awaitable["Client"], incidents: IncidentLog) -> int:
    """The exit code: 0, or 1 if the client did not start. A refused command is no failure of a person's session."""
    above = AbovePrompt(sys.stdout)
    output = PromptOutput(above)
    incidents.watch(asyncio.get_running_loop(), lambda error: output.error(None, error))
    prompt = _Prompt(asyncio.ensure_future(_heard(starting, output)), output, incidents)
    try:
        with (
            while_signals_cancel(asyncio.current_task(), (SIGTERM, SIGHUP)),
            while_signals_call(prompt.interrupt, (SIGINT,)),
        ):
            await prompt.run()
    except asyncio.CancelledError:
        pass  # by a signal
    except ShoalError as error:
        output.error(None, error)
        return 1
    finally:
        await prompt.close()
        above.flush()
    return 0


async def _heard(starting: Awaitable["Client"], output: HumanOutput) -> "Client":
    client = await starting
    client.subscribe(notices_to(output))
    return client


class _Prompt:
    def __init__(self, starting: "asyncio.Future[Client]", output: PromptOutput, incidents: IncidentLog) -> None:
        self._starting = starting
        self._output = output
        self._incidents = incidents
        self._runner: Runner | None = None
        self._names: KnownNames | None = None
        self._jobs = BackgroundTasks()
        self._foreground: asyncio.Task[bool] | None = None
        self._session: PromptSession[str] = PromptSession(
            self._greeting,
            history=HistoryFile(starting),
            completer=NameCompleter(lambda: self._names),
            complete_while_typing=False,
            bottom_toolbar=output.live_line,
            interrupt_exception=_LineGivenUp,
        )
        output.redraw = self._session.app.invalidate

    async def run(self) -> None:
        """Returns when the user leaves; raises ShoalError if the client does not start."""
        while True:
            try:
                typed = await self._typed()
            except _LineGivenUp:
                continue
            except EOFError:
                return
            runner = self._runner or await self._start_runner()
            for line in typed.split("\n"):
                invocation = runner.read(line)
                if invocation and not await self._run(runner, invocation):
                    return

    def interrupt(self) -> None:
        if self._foreground is not None:
            self._foreground.cancel()

    async def close(self) -> None:
        await self._jobs.cancel_all()
        if self._names is not None:
            self._names.close()
        self._starting.cancel()
        await asyncio.wait({self._starting})
        if self._starting.cancelled() or self._starting.exception() is not None:
            return
        client = self._starting.result()
        if client.user_id is not None:
            self._say_unfinished(client)
        await client.close()

    async def _typed(self) -> str:
        """The next line; raises ShoalError at once if the client fails to start meanwhile."""
        # Signals and stray exceptions are ours: prompt_toolkit would take the handlers away, and print tracebacks.
        typing = asyncio.create_task(self._session.prompt_async(handle_sigint=False, set_exception_handler=False))
        try:
            if self._runner is None:
                first: set[asyncio.Future[Any]] = {typing, self._starting}
                await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                if self._starting.done():
                    await self._start_runner()
            return await typing
        finally:
            # Ended before anything else is written: this is what gives the terminal back.
            typing.cancel()
            await asyncio.wait({typing})

    async def _start_runner(self) -> Runner:
        client = await self._starting
        self._incidents.folder = client.state_folder
        self._names = KnownNames(client)
        self._runner = Runner(Context(client, self._output, ask_on_terminal), self._incidents)
        return self._runner

    async def _run(self, runner: Runner, invocation: Invocation) -> bool:
        """False if the command was to leave."""
        name = invocation.command.name
        job = self._foreground = self._jobs.start(runner.run(invocation))
        await asyncio.wait({job}, timeout=_BLINK_S if invocation.command.is_long else None)
        self._foreground = None
        if not job.done():
            self._say_background(invocation)
            return True
        if job.cancelled():
            runner.fail(name, LocalError(f"{name} was interrupted", code="interrupted"))
            return True
        if name == "login" and job.result():
            self._follow_resumed(runner)
        return not (job.result() and name in LEAVING)

    def _say_background(self, invocation: Invocation) -> None:
        if invocation.command.name == "download_file":
            text = f"downloading {safe_text.name(invocation.arguments[1])}; it goes on in the background"
        else:
            text = f"uploading {safe_text.name(invocation.arguments[0])}; it goes on in the background"
        self._output.result(invocation.command.name, Result(text))

    def _say_unfinished(self, client: "Client") -> None:
        count = sum(status.state not in OVER for status in client.show_downloads())
        if count:
            text = f"not finished yet: {figures.count(count, 'download')}, to go on after the next login"
            self._output.notice(Remark("downloads_unfinished", text))

    def _follow_resumed(self, runner: Runner) -> None:
        client = runner.context.client
        for status in client.show_downloads():
            is_followed = ("download_file", status.group_id, status.name) in self._output.moving
            if status.state not in (*OVER, "paused") and not is_followed:
                self._jobs.start(runner.report("download_file", finish_download(client, self._output, status)))

    def _greeting(self) -> str:
        user_id = self._runner.context.client.user_id if self._runner else None
        return f"{safe_text.printable(user_id or 'shoal')}> "
