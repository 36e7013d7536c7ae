"""Driven by a person at a terminal: a prompt with history, completion and a live line of what is being moved.

Uploads and downloads that take longer than a blink go on in the background; everything that is said is printed above
the prompt. The prompt is there before the client has started. prompt_toolkit is imported here only, so that scripts do
not pay for it.

Invariant: Ctrl-C ends at most the line or the command in the foreground; what runs in the background is ended by
leaving only. The history file never holds a password (history).
Not for: what commands do (runner, actions).
"""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path
from signal import SIGHUP, SIGINT, SIGTERM
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory

from engine.errors import LocalError, ShoalError
from engine.process.background_tasks import BackgroundTasks
from engine.shell.actions import Context
from engine.shell.answers import figures, safe_text
from engine.shell.answers.output import HumanOutput, Progress, Remark, Result, notices_to, progress_line
from engine.shell.commands import LEAVING, Invocation
from engine.shell.following import OVER, finish_download
from engine.shell.incidents import IncidentLog
from engine.shell.reading import ask_on_terminal
from engine.shell.runner import Runner
from engine.shell.signals import while_signals_call, while_signals_cancel
from engine.shell.terminal.above_prompt import AbovePrompt
from engine.shell.terminal.completion import KnownNames, offers
from engine.shell.terminal.history import without_passwords

if TYPE_CHECKING:
    from engine.client.client import Client

_REFRESH_S = 0.5
_BLINK_S = 0.5
_SAID_ALREADY = ("cancelled", "paused")
"""How a download ends by cancel_download or logout: that command was answered itself."""
_IDLE = "nothing is being moved; help lists the commands, Tab completes"


class _LineGivenUp(Exception):
    """Ctrl-C. Not KeyboardInterrupt, which would leave the event loop instead of reaching whoever awaits the line."""


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


class PromptOutput(HumanOutput):
    """Everything above the prompt; progress is kept for the live line below it, which is drawn anew while something
    moves, and not otherwise.
    """

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
            history=_History(starting),
            completer=_NameCompleter(lambda: self._names),
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


class _History(FileHistory):
    """Kept in the state folder, which is known once the client has started."""

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


class _NameCompleter(Completer):
    def __init__(self, names: Callable[[], KnownNames | None]) -> None:
        self._names = names

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        return ()  # names take a moment to come: only the asynchronous way is used

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        for offer in await offers(document.text_before_cursor, self._names()):
            is_whole = not offer.text.rstrip("'").endswith("/")
            yield Completion(offer.text + " " * is_whole, start_position=-offer.replaced)
