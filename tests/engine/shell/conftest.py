"""A client without trackers and peers (`FakeClient`), and a shell around it (`Bench`)."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest

from engine.client.client import AuditEntry, Client, FileEntry, GroupEntry
from engine.client.events import DownloadEnded, DownloadProgressed
from engine.client.subscribers import Subscriber, Subscribers
from engine.errors import LocalError, RefusedByTracker
from engine.reports import (
    DownloadState,
    DownloadStatus,
    DroppedShare,
    InviteReport,
    LeaveReport,
    LoginReport,
    MemberReport,
    ShareStatus,
    StopReport,
    UploadReport,
)
from engine.shell.answers.output import HumanOutput, JsonOutput, Output, Remark, notices_to
from engine.shell.context import Context
from engine.shell.following import OVER
from engine.shell.incidents import IncidentLog
from engine.shell.piped import run_lines
from engine.shell.runner import Runner
from tracker.protocol import results

SIZE_BYTES = 4 << 20
COURSES: dict[str, list[DownloadState]] = {
    "good.bin": ["checking", "downloading", "downloading", "complete"],
    "lonely.bin": ["waiting", "waiting", "downloading", "complete"],
    "alone.bin": ["waiting"],
    "broken.bin": ["downloading", "failed"],
    "endless.bin": ["downloading"],
    "there.bin": ["complete"],
}
"""What becomes of the download of each file, one step after the other; the last step stays."""
STEP_S = 0.001


def _as_made(group_id: str, user_id: str) -> MemberReport:
    """All ids here were made in small letters."""
    return MemberReport(group_id.lower(), user_id.lower())


class FakeClient:
    """Accounts and groups in memory; downloads that go their course by themselves."""

    def __init__(self, state_folder: Path) -> None:
        self.state_folder = state_folder
        self.user_id: str | None = None
        self.passwords: dict[str, str] = {}
        self.owners: dict[str, str] = {}
        self.destinations: list[Path | str] = []
        self.is_closed = False
        self._subscribers = Subscribers()
        self._courses: set[asyncio.Task[None]] = set()
        self._downloads: dict[tuple[str, str], list[DownloadState]] = {}
        self._over = asyncio.Event()

    async def create_user(self, user_id: str, password: str, invite: str = "") -> None:
        if user_id == "guest" and invite != "welcome":
            raise RefusedByTracker("this tracker takes invited people only", "invite_needed")
        if user_id in self.passwords:
            raise RefusedByTracker(f"the user id {user_id} is taken; choose another", "user_taken")
        self.passwords[user_id] = password

    async def login(self, user_id: str, password: str) -> LoginReport:
        if user_id == "nobody-answers":
            self._subscribers.tell(Remark("asking", "asking a tracker that does not answer"))
            await asyncio.get_running_loop().create_future()
        if self.passwords.get(user_id) != password:
            raise RefusedByTracker("wrong user id or password", "login_failed")
        self.user_id = user_id
        changed = DroppedShare("lab", "old.bin", "/data/old.bin", "the file changed")
        return LoginReport(user_id, 2, [changed], len(self._downloads))

    async def change_password(self, old_password: str, new_password: str) -> None:
        self._require_login()
        if self.passwords[str(self.user_id)] != old_password:
            raise RefusedByTracker("the old password is wrong; nothing was changed", "login_failed")
        self.passwords[str(self.user_id)] = new_password

    async def create_invite(self, life_s: float) -> InviteReport:
        self._require_login()
        return InviteReport("a" * 26, 1e9 + life_s)

    async def transfer_ownership(self, group_id: str, user_id: str) -> MemberReport:
        self.owners[group_id] = user_id
        return _as_made(group_id, user_id)

    async def audit(self, group_id: str) -> results.Audit:
        entries = [
            AuditEntry(1e9, "alice", "group_created", "", "192.0.2.1"),
            AuditEntry(1e9, "alice", "member_removed", "evil\x1b[2J", "192.0.2.1"),
        ]
        return results.Audit(entries, group_id.lower())

    async def revoke_sessions(self) -> None:
        self._require_login()

    async def remove_member(self, group_id: str, user_id: str) -> MemberReport:
        self._require_login()
        return _as_made(group_id, user_id)

    async def logout(self) -> None:
        self._require_login()
        self.user_id = None

    async def create_group(self, group_id: str, is_open: bool = False) -> None:
        self._require_login()
        self.owners[group_id] = str(self.user_id)

    async def join_group(self, group_id: str) -> str:
        self._require_login()
        return group_id.lower()

    async def leave_group(self, group_id: str) -> LeaveReport:
        return LeaveReport(group_id, None, True)

    async def list_requests(self, group_id: str) -> results.Requests:
        return results.Requests(["carol"] if group_id.lower() == "lab" else [], group_id.lower())

    async def accept_request(self, group_id: str, user_id: str) -> MemberReport:
        self._require_login()
        return _as_made(group_id, user_id)

    async def reject_request(self, group_id: str, user_id: str) -> MemberReport:
        raise KeyError("a bug\nof the engine")

    async def list_groups(self) -> list[GroupEntry]:
        self._require_login()
        return [GroupEntry(group_id, owner, 1, "owner") for group_id, owner in self.owners.items()]

    async def list_files(self, group_id: str) -> results.Files:
        self._require_login()
        names = [*COURSES, "with space.bin", "evil\x1b[2J.bin"]
        return results.Files(
            [FileEntry(name, SIZE_BYTES, bytes(range(32)), "alice", 1, 2) for name in names], group_id.lower()
        )

    async def upload_file(
        self, path: Path, group_id: str, on_progress: Callable[[int, int], None] | None = None
    ) -> UploadReport:
        for done in range(5):
            if on_progress is not None:
                on_progress(done * SIZE_BYTES // 4, SIZE_BYTES)
        is_known = path.name == "known.bin"
        read = (False, 0, 0.0) if is_known else (False, SIZE_BYTES, 2.0 * SIZE_BYTES)
        return UploadReport(group_id, path.name, str(path), SIZE_BYTES, "00" * 32, is_known, 0.5, *read)

    async def download_file(
        self,
        group_id: str,
        file_name: str,
        destination: Path | str,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> DownloadStatus:
        self._require_login()
        if file_name not in COURSES:
            raise RefusedByTracker(f"there is no file {file_name!r} in {group_id}", "no_such_file")
        self.destinations.append(destination)
        if file_name == "there.bin" and on_progress is not None:
            for done in range(5):
                on_progress(done * SIZE_BYTES // 4, SIZE_BYTES)
        self._downloads[group_id, file_name] = list(COURSES[file_name])
        course = asyncio.create_task(self._go_on(group_id, file_name))
        self._courses.add(course)
        course.add_done_callback(self._courses.discard)
        return self._status(group_id, file_name)

    async def _go_on(self, group_id: str, name: str) -> None:
        status = self._status(group_id, name)
        while status.state not in OVER:
            self._subscribers.tell(DownloadProgressed(status))
            await asyncio.sleep(STEP_S)
            course = self._downloads[group_id, name]
            if len(course) > 1:
                course.pop(0)
            status = self._status(group_id, name)
        self._subscribers.tell(DownloadEnded(status))
        self._over.set()

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        return self._subscribers.subscribe(subscriber)

    async def wait_download(self, group_id: str, file_name: str) -> DownloadStatus:
        while self._downloads[group_id, file_name][0] not in OVER:
            self._over.clear()
            await self._over.wait()
        return self._status(group_id, file_name)

    def show_downloads(self) -> list[DownloadStatus]:
        self._require_login()
        return [self._status(*key) for key in self._downloads]

    async def cancel_download(self, group_id: str, file_name: str) -> None:
        self._downloads[group_id, file_name] = ["cancelled"]
        self._over.set()

    def show_shares(self) -> list[ShareStatus]:
        self._require_login()
        away = ShareStatus("lab", "away.bin", "/mnt/away.bin", SIZE_BYTES, "missing", "no such file", 0)
        read = ShareStatus("lab", "large.bin", "/data/large.bin", SIZE_BYTES, "rereading", "touched", SIZE_BYTES // 2)
        return [away, ShareStatus("lab", "good.bin", "/data/good.bin", SIZE_BYTES, "served", "", 0), read]

    async def stop_share(self, group_id: str, file_name: str) -> StopReport:
        return StopReport(group_id, file_name, True)

    async def close(self) -> None:
        for course in self._courses:
            course.cancel()
        self.user_id = None
        self.is_closed = True

    def _require_login(self) -> None:
        if self.user_id is None:
            raise LocalError("you are not logged in; use login first", "not_logged_in")

    def _status(self, group_id: str, name: str) -> DownloadStatus:
        state = self._downloads[group_id, name][0]
        done = SIZE_BYTES if state == "complete" else 1 << 20
        shares = {"alice": done - 1024, "bob": 1024}
        error = "no peer has it any more" if state == "failed" else None
        code = "gone" if state == "failed" else None
        why = f"nobody online has {name} yet" if state == "waiting" else None
        return DownloadStatus(
            group_id, name, f"/tmp/{name}", state, SIZE_BYTES, done, 1e6, 2, shares, 2.0, error, code,
            fetched_bytes=done, why_waiting=why,
        )  # fmt: skip


async def lines_from(lines: list[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Bench:
    """A shell around a fake client, with its streams in memory."""

    client: FakeClient
    runner: Runner
    out: io.StringIO
    err: io.StringIO
    answers: list[str]
    """Passwords that will be typed when asked for."""

    async def run(self, *lines: str) -> None:
        await run_lines(self.runner, lines_from(list(lines)))

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was said, if the shell speaks JSON."""
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


def _bench(folder: Path, make_output: Callable[[io.StringIO, io.StringIO], Output]) -> Bench:
    out, err, answers = io.StringIO(), io.StringIO(), list[str]()
    output = make_output(out, err)
    client = FakeClient(folder)
    client.subscribe(notices_to(output))

    async def ask(question: str) -> str:
        return answers.pop(0)

    runner = Runner(Context(cast(Client, client), output, ask), IncidentLog(folder))
    return Bench(client, runner, out, err, answers)


@pytest.fixture
async def bench(tmp_path: Path) -> Bench:
    """Speaks to people."""
    return _bench(tmp_path, lambda out, err: HumanOutput(out, err, is_live=False))


@pytest.fixture
async def json_bench(tmp_path: Path) -> Bench:
    """Speaks to programs."""
    return _bench(tmp_path, lambda out, err: JsonOutput(out))


@pytest.fixture
def clock() -> Clock:
    return Clock()
