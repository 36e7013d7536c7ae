"""What is said around a real prompt, on a terminal that is a string."""

import asyncio
import errno
import io
import re
from collections.abc import Iterator

import pytest
from prompt_toolkit import PromptSession
from prompt_toolkit.application import create_app_session
from prompt_toolkit.data_structures import Size
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output.vt100 import Vt100_Output

from engine.shell.terminal.above_prompt import AbovePrompt

ENTER = "\r"


@pytest.fixture
def keyboard() -> Iterator[PipeInput]:
    with create_pipe_input() as keyboard:
        yield keyboard


@pytest.fixture
def screen(keyboard: PipeInput) -> Iterator[io.StringIO]:
    screen = io.StringIO()
    output = Vt100_Output(screen, lambda: Size(rows=40, columns=100), enable_cpr=False)
    with create_app_session(input=keyboard, output=output):
        yield screen


@pytest.fixture
def above(screen: io.StringIO) -> AbovePrompt:
    return AbovePrompt(screen)


class _Typing:
    """A prompt that somebody has before them until enter is hit."""

    def __init__(self, keyboard: PipeInput) -> None:
        self._keyboard = keyboard

    async def __aenter__(self) -> None:
        session: PromptSession[str] = PromptSession("ann>")
        is_drawn = asyncio.Event()
        session.app.after_render += lambda _: is_drawn.set()
        self._line = asyncio.create_task(session.prompt_async(handle_sigint=False))
        await is_drawn.wait()

    async def __aexit__(self, *error: object) -> None:
        self._keyboard.send_text(ENTER)
        await self._line


async def _shown(screen: io.StringIO, *texts: str) -> None:
    """All of them, in this order."""
    async with asyncio.timeout(10):
        while not re.search(".*".join(map(re.escape, texts)), screen.getvalue(), re.DOTALL):
            await asyncio.sleep(0)


async def test_what_is_said_without_a_prompt_is_shown_at_once(above: AbovePrompt, screen: io.StringIO) -> None:
    print("logged in", file=above, flush=True)
    assert screen.getvalue() == "logged in\n"


async def test_what_is_said_between_two_prompts_is_shown_before_the_second(
    above: AbovePrompt, screen: io.StringIO, keyboard: PipeInput
) -> None:
    async with _Typing(keyboard):
        pass
    before = len(screen.getvalue())
    print("logged in", file=above, flush=True)
    assert screen.getvalue()[before:] == "logged in\n"
    async with _Typing(keyboard):
        await _shown(screen, "logged in\n", "ann>")


async def test_a_prompt_is_drawn_anew_below_what_is_said(
    above: AbovePrompt, screen: io.StringIO, keyboard: PipeInput
) -> None:
    async with _Typing(keyboard):
        print("a file has come", file=above, flush=True)
        await _shown(screen, "ann>", "a file has come\n", "ann>")


async def test_what_is_said_keeps_its_order_when_the_prompt_ends_meanwhile(
    above: AbovePrompt, screen: io.StringIO, keyboard: PipeInput
) -> None:
    async with _Typing(keyboard):
        for count in range(3):
            print(f"<{count}>", file=above, flush=True)
    print("<3>", file=above, flush=True)
    await _shown(screen, "<0>", "<1>", "<2>", "<3>")
    assert screen.getvalue().count("<") == 4


async def test_a_terminal_that_has_gone_stops_nothing() -> None:
    class _Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "no terminal")

    print("logged in", file=AbovePrompt(_Gone()), flush=True)
