"""Runs the command of a line and prints its answer, in the same way for the prompt and for piped input.

Invariant: each command gets exactly one answer, and no exception but a cancellation leaves here. A bug becomes one
line, and its traceback goes to the incident log.
Not for: where lines come from (prompt, piped), what commands do (actions).
"""

from collections.abc import Awaitable

from engine.errors import ShoalError
from engine.shell.actions import ACTIONS
from engine.shell.answers.output import Remark, Result
from engine.shell.commands import Invocation, parse
from engine.shell.context import Context
from engine.shell.incidents import IncidentLog
from engine.shell.lines import is_plain_comment, read_line

_COMMENT = Remark("comment", "what follows the # is taken for a comment; quote a word that begins with #, as in '#1'")


class Runner:
    def __init__(self, context: Context, incidents: IncidentLog) -> None:
        self.context = context
        self.incidents = incidents
        self.has_failed = False
        """Some command was refused or failed."""

    def read(self, line: str) -> Invocation | None:
        """The command of a line. None for a blank line, a comment, or a mistake, which is answered here."""
        words: list[str] = []
        try:
            words, comment = read_line(line)
            if not words:
                return None
            invocation = parse(words, comment)
        except ShoalError as mistake:
            self.fail(words[0] if words else None, mistake)
            return None
        if not is_plain_comment(comment):
            self.context.output.notice(_COMMENT)
        return invocation

    async def run(self, invocation: Invocation) -> bool:
        """True if the command succeeded."""
        name = invocation.command.name
        return await self.report(name, ACTIONS[name](self.context, *invocation.arguments, **invocation.options))

    async def report(self, command: str, work: Awaitable[Result]) -> bool:
        """Print the outcome of the work. Returns whether it succeeded."""
        try:
            result = await work
        except ShoalError as error:
            self.fail(command, error)
            return False
        except Exception as bug:
            self.fail(command, self.incidents.record(bug))
            return False
        self.context.output.result(command, result)
        return True

    def fail(self, command: str | None, error: ShoalError) -> None:
        self.has_failed = True
        self.context.output.error(command, error)
