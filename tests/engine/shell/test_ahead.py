import asyncio
import unicodedata
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import RefusedByTracker
from engine.reports import UploadReport
from engine.shell.ahead import small_upload

if TYPE_CHECKING:
    from tests.engine.shell.conftest import Bench

LOGIN = ("create_user alice pw", "login alice pw")


class Uploads:
    """In place of the client's `upload_file`: each ends when it is told to."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.refused: set[str] = set()
        self._may_end: dict[str, asyncio.Event] = {}
        self._progress = asyncio.Condition()

    async def upload_file(
        self, path: Path, group_id: str, on_progress: Callable[[int, int], None] | None = None
    ) -> UploadReport:
        self.begun.append(path.name)
        await self._event(path.name).wait()
        if path.name in self.refused:
            raise RefusedByTracker(f"no {path.name}", "not_member")
        return UploadReport(group_id, path.name, str(path), 1, "00" * 32, False, 0.5)

    def end(self, *names: str) -> None:
        for name in names:
            self._event(name).set()

    async def wait_begun(self, *names: str) -> None:
        while self.begun != list(names):
            await asyncio.sleep(0)

    def _event(self, name: str) -> asyncio.Event:
        return self._may_end.setdefault(name, asyncio.Event())


@pytest.fixture(autouse=True)
async def never_for_ever() -> AsyncIterator[None]:
    async with asyncio.timeout(10):
        yield


@pytest.fixture
def uploads(json_bench: "Bench", monkeypatch: pytest.MonkeyPatch) -> Uploads:
    uploads = Uploads()
    monkeypatch.setattr(json_bench.client, "upload_file", uploads.upload_file)
    return uploads


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    folder.mkdir()
    for name in "abc":
        (folder / name).write_bytes(b"x")
    with (folder / "large").open("wb") as large:
        large.truncate((1 << 20) + 1)
    return folder


def said(bench: "Bench") -> list[str]:
    """The name in each answer, the code of each error, or the command."""
    records = bench.records[len(LOGIN) :]
    return [
        str(one["name"] if "name" in one else one.get("error", one)[("code" if "error" in one else "command")])
        for one in records
    ]


async def run(bench: "Bench", *lines: str) -> "asyncio.Task[None]":
    return asyncio.create_task(bench.run(*LOGIN, *lines))


async def test_small_files_are_under_way_together_and_answered_in_order(
    json_bench: "Bench", uploads: Uploads, files: Path
) -> None:
    running = await run(json_bench, *(f"upload_file {files / name} lab" for name in "abc"), "list_groups")
    await uploads.wait_begun("a", "b", "c")
    uploads.end("c")
    for _ in range(10):
        await asyncio.sleep(0)
    assert said(json_bench) == []
    uploads.end("a")
    while said(json_bench) != ["a"]:
        await asyncio.sleep(0)
    uploads.end("b")
    await running
    assert said(json_bench) == ["a", "b", "c", "list_groups"]


async def test_an_answer_does_not_wait_for_the_next_line(json_bench: "Bench", uploads: Uploads, files: Path) -> None:
    uploads.end("a")
    running = await run(json_bench, f"upload_file {files / 'a'} lab", f"upload_file {files / 'b'} lab")
    while said(json_bench) != ["a"]:
        await asyncio.sleep(0)
    uploads.end("b")
    await running


async def test_a_refusal_ends_its_own_upload_in_its_place(json_bench: "Bench", uploads: Uploads, files: Path) -> None:
    uploads.refused.add("b")
    uploads.end("a", "b", "c")
    await (await run(json_bench, *(f"upload_file {files / name} lab" for name in "abc")))
    assert said(json_bench) == ["a", "not_member", "c"]
    assert json_bench.runner.has_failed


async def test_a_mistake_in_between_is_said_in_its_place(json_bench: "Bench", uploads: Uploads, files: Path) -> None:
    running = await run(json_bench, f"upload_file {files / 'a'} lab", "nonsense", f"upload_file {files / 'b'} lab")
    await uploads.wait_begun("a")
    uploads.end("a", "b")
    await running
    assert said(json_bench) == ["a", "unknown_command", "b"]


@pytest.mark.parametrize("between", ["large", "nowhere", "."])
async def test_what_is_no_small_file_has_the_client_to_itself(
    json_bench: "Bench", uploads: Uploads, files: Path, between: str
) -> None:
    name = (files / between).name
    running = await run(json_bench, *(f"upload_file {files / each} lab" for each in ("a", between, "b")))
    await uploads.wait_begun("a")
    uploads.end("a")
    await uploads.wait_begun("a", name)
    uploads.end(name, "b")
    await running
    assert said(json_bench) == ["a", name, "b"]


async def test_the_same_name_in_a_group_waits_for_the_one_before_it(
    json_bench: "Bench", uploads: Uploads, files: Path
) -> None:
    (files / "other").mkdir()
    (files / "other" / "a").write_bytes(b"y")
    paths = [files / "a", files / "b", files / "other" / "a"]
    running = await run(json_bench, *(f"upload_file {path} lab" for path in paths))
    await uploads.wait_begun("a", "b")
    uploads.end("a")
    await uploads.wait_begun("a", "b", "a")
    uploads.end("b")
    await running
    assert said(json_bench) == ["a", "b", "a"]


async def test_names_that_a_group_takes_for_one_wait_for_each_other(
    json_bench: "Bench", uploads: Uploads, files: Path
) -> None:
    names = [unicodedata.normalize(form, "é") for form in ("NFC", "NFD")]
    for name in names:
        (files / name).write_bytes(b"x")
    running = await run(json_bench, f"upload_file {files / names[0]} lab", f"upload_file {files / names[1]} LAB")
    await uploads.wait_begun(names[0])
    for _ in range(10):
        await asyncio.sleep(0)
    assert uploads.begun == names[:1]
    uploads.end(*names)
    await running
    assert said(json_bench) == names


async def test_an_interruption_is_said_once_and_ends_all_that_were_begun(
    json_bench: "Bench", uploads: Uploads, files: Path
) -> None:
    running = await run(json_bench, *(f"upload_file {files / name} lab" for name in "abc"))
    await uploads.wait_begun("a", "b", "c")
    uploads.end("a")
    while said(json_bench) != ["a"]:
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert said(json_bench) == ["a", "interrupted"]
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("line", ["", "upload_file", "upload_file 'a", "list_groups", "upload_file a\0b lab"])
def test_other_lines_are_not_begun_early(line: str) -> None:
    assert small_upload(line) is None
