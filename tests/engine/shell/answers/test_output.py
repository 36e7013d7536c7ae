import io
import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from engine.errors import LocalError
from engine.shell.answers.output import HumanOutput, JsonOutput, Progress, Remark, Result
from engine.shell.terminal.above_prompt import AbovePrompt
from engine.shell.terminal.prompt_output import PromptOutput

if TYPE_CHECKING:
    from tests.engine.shell.conftest import Clock

ANY_TEXT = st.text(st.characters(codec=None))
SIZE_BYTES = 1000 << 20


def download(percent: int, name: str = "big.bin") -> Progress:
    done = SIZE_BYTES * percent // 100
    return Progress("download_file", "lab", name, "downloading", done, SIZE_BYTES, float(100 << 20), 3)


@given(ANY_TEXT)
def test_foreign_text_never_acts_on_the_terminal(text: str) -> None:
    out, err = io.StringIO(), io.StringIO()
    output = HumanOutput(out, err, is_live=False, now_s=iter(range(0, 100, 5)).__next__)
    output.error("login", LocalError(text))
    output.notice(Remark("x", text))
    output.progress(download(0, text))
    output.progress(download(50, text))
    lines = err.getvalue().split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


@given(ANY_TEXT)
def test_json_is_one_ascii_line_whatever_the_names_are(text: str) -> None:
    out = io.StringIO()
    output = JsonOutput(out)
    output.result("create_group", Result("", {"group_id": text}))
    output.error(None, LocalError(text, code="usage"))
    output.notice(Remark("x", text))
    lines = out.getvalue().split("\n")
    assert lines.pop() == ""
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert [json.loads(line) for line in lines] == [
        {"command": "create_group", "ok": True, "group_id": text},
        {"command": None, "ok": False, "error": {"code": "usage", "message": text}},
        {"notice": "x", "message": text},
    ]


def test_json_progress_comes_at_most_once_a_second(clock: "Clock") -> None:
    out = io.StringIO()
    output = JsonOutput(out, now_s=clock)
    for percent in range(0, 100, 2):
        output.progress(download(percent))
        clock.now_s += 0.25
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(records) == 12
    assert records[0] == {
        "command": "download_file",
        "progress": {
            "group_id": "lab",
            "name": "big.bin",
            "state": "downloading",
            "done_bytes": SIZE_BYTES * 8 // 100,
            "size_bytes": SIZE_BYTES,
            "rate_bytes_per_s": float(100 << 20),
            "peers_connected": 3,
        },
    }


def test_progress_in_a_log_comes_every_two_seconds_or_ten_per_cent(clock: "Clock") -> None:
    err = io.StringIO()
    output = HumanOutput(io.StringIO(), err, is_live=False, now_s=clock)
    for percent in [0, 5, 9, 10, 15, 20, 29]:
        output.progress(download(percent))
    assert [line[27:31].strip() for line in err.getvalue().splitlines()] == ["10", "20"]
    clock.now_s += 2
    output.progress(download(29))
    assert err.getvalue().splitlines()[2] == (
        "[======                  ]  29 %  290 MiB of 1000 MiB  100 MiB/s  7.1 s left  3 peers  big.bin"
    )


def test_what_is_over_at_once_says_nothing(clock: "Clock") -> None:
    err = io.StringIO()
    output = HumanOutput(io.StringIO(), err, is_live=False, now_s=clock)
    output.progress(download(99))
    output.end_progress(download(99))
    output.progress(download(0))
    assert err.getvalue() == ""


def test_a_live_line_is_redrawn_and_cleared_before_anything_else(clock: "Clock") -> None:
    terminal = io.StringIO()
    output = HumanOutput(terminal, terminal, is_live=True, now_s=clock)
    for percent in (0, 30, 60):
        output.progress(download(percent))
        clock.now_s += 1
    output.notice(Remark("x", "somebody came"))
    output.result("download_file", Result("downloaded"))
    drawn = terminal.getvalue().split("\r\x1b[K")
    assert drawn[1].lstrip("[= ]").startswith("30 %")
    assert len(drawn[1]) <= 79
    assert drawn[3:] == ["note: somebody came\ndownloaded\n"]


def test_the_live_line_below_the_prompt_sums_up_what_is_moved() -> None:
    output = PromptOutput(AbovePrompt(io.StringIO()))
    assert "nothing is being moved" in output.live_line()
    output.progress(download(50, "a.bin"))
    assert output.live_line().endswith("3 peers  a.bin")
    output.progress(download(100, "b.bin"))
    assert output.live_line() == "[==================      ]  75 %  1.5 GiB of 2.0 GiB  200 MiB/s  2 files"
    output.end_progress(download(50, "a.bin"))
    assert output.live_line().endswith("b.bin")


def test_the_live_line_is_drawn_anew_twice_a_second_while_something_moves_and_never_otherwise(clock: "Clock") -> None:
    drawn: list[float] = []
    output = PromptOutput(AbovePrompt(io.StringIO()), clock)
    output.redraw = lambda: drawn.append(clock.now_s)
    for percent in range(10):
        output.progress(download(percent))
        clock.now_s += 0.25
    assert drawn == [100.0, 100.5, 101.0, 101.5, 102.0]
    output.end_progress(download(100))
    output.end_progress(download(100))
    assert len(drawn) == 6
