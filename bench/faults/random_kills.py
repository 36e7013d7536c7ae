"""A small swarm in which any process may be killed at any moment, and what has to be true afterwards.

A tracker, two seeders and a leecher, all of them the programs that users run. The leecher fetches one file after the
other; meanwhile a client, one of its workers, a seeder, one of its workers or the tracker is killed with SIGKILL at a
random moment and started again, as its user would. After each transfer the copy is compared with the original byte by
byte, and nothing else may be in its folder.

Not for: speed.
"""

import argparse
import filecmp
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from bench.faults.part_file import count_good_bytes, count_written_bytes, part_of
from bench.faults.survey import Survey, figures_of
from bench.record.report import Section
from tests.testkit.measure import MIB, write_random
from tests.testkit.processes import ShellProcess, TrackerProcess, free_ports, workers_of, write_tracker_info

GROUP = "lab"
PASSWORD = "bench-password"
SEEDERS = ("seeder0", "seeder1")
LEECHER = "leecher"
VICTIMS = {"leecher": 5, "worker of the leecher": 5, "seeder": 3, "worker of a seeder": 4, "tracker": 3}
"""Who is killed how often, relative to the others."""
_FILES = 3
_DELAY_MAX_S = 0.3
_KILLS_A_TRANSFER_MAX = 4
_CLIENT_EVERY = 4
"""In every so many-th transfer it is the client that is killed, once, and before the end for certain."""
_PATIENCE_S = 90.0


def measure(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    swarm, begun_s = SwarmUnderKills(folder, seed), time.monotonic()
    try:
        survey = swarm.run(options.kills)
    finally:
        swarm.close()
    kinds = ", ".join(f"{victim} {count}" for victim, count in survey.kills.most_common())
    section.rows += [
        ["killed", f"{survey.kills.total()} in {time.monotonic() - begun_s:.0f} s: {kinds}"],
        ["transfers meanwhile", str(survey.transfers)],
    ]
    section.figures += figures_of(survey, seed)
    section.notes += [f"{kind}: {complaint}" for kind, each in survey.complaints.items() for complaint in each]
    section.data |= {"kills": dict(survey.kills), "fetched_again_bytes": survey.fetched_again_bytes}
    section.data |= survey.complaints


class SwarmUnderKills:
    """Everything is below `folder`, but for TMPDIR, which is short enough for the pool's socket."""

    def __init__(self, folder: Path, seed: int, size_bytes: int = 160 * MIB) -> None:
        self.survey = Survey()
        self._folder, self._chance, self._size_bytes = folder, random.Random(seed), size_bytes
        self._temporary = Path(tempfile.mkdtemp(prefix="shoal-"))
        # Compiled once, also where it is not usual to keep that: a kill is a start.
        self._environment = {**os.environ, "TMPDIR": str(self._temporary), "PYTHONDONTWRITEBYTECODE": ""}
        self._info = write_tracker_info(folder)
        self._ports = dict(zip((*SEEDERS, LEECHER), free_ports(3), strict=True))
        self._clients: dict[str, ShellProcess] = {}
        self._tracker = self._start_tracker()
        self._target = folder / "target"
        self._target.mkdir()
        self._make_members()
        self._sources = [self._share_new_file(number) for number in range(_FILES)]
        self._fetching: Path | None = None
        self._is_resumed = False
        self._good_bytes: int | None = None

    # ------------------------------------------------------------ setting up

    def _make_members(self) -> None:
        for user_id in self._ports:
            self._start_client(user_id).expect(f"create_user {user_id} {PASSWORD}")
            self._clients[user_id].expect(f"login {user_id} {PASSWORD}")
        owner = self._clients[SEEDERS[0]]
        owner.expect(f"create_group {GROUP}")
        for user_id in (SEEDERS[1], LEECHER):
            self._clients[user_id].expect(f"join_group {GROUP}")
            owner.expect(f"accept_request {GROUP} {user_id}")

    def _share_new_file(self, number: int) -> Path:
        """One more file that both seeders share."""
        source = write_random(self._folder / f"file{number}.bin", self._size_bytes)
        for user_id in SEEDERS:
            self._clients[user_id].expect(f"upload_file '{source}' {GROUP}")
        return source

    def _start_tracker(self) -> TrackerProcess:
        state = self._folder / "tracker"
        with open(os.devnull, "wb") as nowhere:
            return TrackerProcess(self._info, 1, state, nowhere, self._environment)

    def _start_client(self, user_id: str) -> ShellProcess:
        client = self._clients[user_id] = ShellProcess(
            self._info,
            self._ports[user_id],
            self._folder / user_id,
            errors=subprocess.DEVNULL,
            environment=self._environment,
        )
        return client

    # ------------------------------------------------------------ the course

    def run(self, kills: int) -> Survey:
        """Until that many processes were killed, and then to the end of the transfer."""
        survey = self.survey
        while survey.kills.total() < kills:
            self._begin(self._sources[survey.transfers % _FILES])
            if survey.transfers % _CLIENT_EVERY == 0:
                self._wait_part_way()
                self._kill(LEECHER)
            else:
                self._kill_some(kills - survey.kills.total())
            self._finish()
            survey.transfers += 1
        return survey

    def _wait_part_way(self) -> None:
        """Until an eighth of the file is there."""
        assert self._fetching is not None
        part, deadline_s = part_of(self._target / self._fetching.name), time.monotonic() + _PATIENCE_S
        while count_written_bytes(part) < self._size_bytes // 8 and time.monotonic() < deadline_s:
            time.sleep(0.001)

    def _kill_some(self, most: int) -> None:
        for _ in range(min(self._chance.randint(1, _KILLS_A_TRANSFER_MAX), most)):
            time.sleep(self._chance.uniform(0, _DELAY_MAX_S))
            self._kill(self._chance.choices(list(VICTIMS), list(VICTIMS.values()))[0])

    def _begin(self, source: Path) -> None:
        self._fetching, self._is_resumed, self._good_bytes = source, False, None
        self._clients[LEECHER].send(f"download_file {GROUP} {source.name} '{self._target}'")

    def _finish(self) -> None:
        source = self._fetching
        assert source is not None
        leecher, copy = self._clients[LEECHER], self._target / source.name
        try:
            final = self._wait_resumed(source.name) if self._is_resumed else leecher.result(_PATIENCE_S)
        except TimeoutError:
            final = None
        if final is None or not copy.exists():
            self.survey.stuck.append(f"{source.name}: {final} {leecher.progress[-1:]} {leecher.notices[-3:]}")
            self._start_anew()
            return
        if not filecmp.cmp(source, copy, shallow=False):
            self.survey.wrong_files.append(source.name)
        beside = sorted(set(os.listdir(self._target)) - {source.name})
        self.survey.left_over += beside
        if self._good_bytes is not None and "bytes_by_peer" in final:
            kept_bytes = self._size_bytes - sum(final["bytes_by_peer"].values())
            self.survey.fetched_again_bytes.append(max(0, self._good_bytes - kept_bytes))
        answer = leecher.run(f"stop_share {GROUP} {source.name}")
        if not answer["ok"]:
            self.survey.lost.append(f"{LEECHER} does not share {source.name}: {answer} {final} {leecher.notices[-3:]}")
        copy.unlink()

    def _wait_resumed(self, name: str) -> dict[str, Any] | None:
        """The last status of a download that a login resumed; {} if it was found complete."""
        deadline_s = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline_s:
            shown = self._clients[LEECHER].expect("show_downloads")["downloads"]
            status: dict[str, Any] | None = next((one for one in shown if one["name"] == name), None)
            if status is None:
                return {}
            if status["state"] in ("complete", "failed", "cancelled", "paused"):
                return status
            time.sleep(0.02)
        return None

    def _start_anew(self) -> None:
        """After a transfer that did not end: it was counted, and must not disturb the next ones."""
        self._clients[LEECHER].kill()
        shutil.rmtree(self._folder / LEECHER)
        for path in self._target.iterdir():
            path.unlink()
        self._start_client(LEECHER).expect(f"login {LEECHER} {PASSWORD}")

    # ------------------------------------------------------------ killing

    def _kill(self, victim: str) -> None:
        self.survey.kills[victim] += 1
        if victim == "tracker":
            self._tracker.stop(signal.SIGKILL)
            self._tracker = self._start_tracker()
            self._check_member(self._clients[SEEDERS[0]], SEEDERS[0])
        elif victim == "leecher":
            self._kill_leecher()
        elif victim == "seeder":
            self._kill_seeder(self._chance.choice(SEEDERS))
        else:
            user_id = LEECHER if victim == "worker of the leecher" else self._chance.choice(SEEDERS)
            workers = workers_of(self._clients[user_id].process.pid)
            if workers:
                self._chance.choice(workers).kill()

    def _kill_seeder(self, user_id: str) -> None:
        self._clients[user_id].kill()
        report = self._start_client(user_id).expect(f"login {user_id} {PASSWORD}")
        if report["shares_resumed"] != _FILES:
            self.survey.lost.append(f"{user_id} shares {report['shares_resumed']} of {_FILES}: {report}")
        self._check_member(self._clients[user_id], user_id)

    def _kill_leecher(self) -> None:
        assert self._fetching is not None
        self._clients[LEECHER].kill()
        part = part_of(self._target / self._fetching.name)
        self._good_bytes = count_good_bytes(part, self._fetching) if part.exists() else None
        report = self._start_client(LEECHER).expect(f"login {LEECHER} {PASSWORD}")
        copy = self._target / self._fetching.name
        if not report["downloads_resumed"] and not copy.exists():
            if self._is_begun():
                self.survey.lost.append(f"the download of {self._fetching.name}: {report}")
            self._begin(self._fetching)  # it was killed before the command was read
        else:
            self._is_resumed = True
        self._check_member(self._clients[LEECHER], LEECHER)

    def _is_begun(self) -> bool:
        return any(self._target.iterdir())

    def _check_member(self, client: ShellProcess, user_id: str) -> None:
        if user_id == LEECHER and not self._is_resumed:
            return  # it reads no command before its download ends
        groups = client.expect("list_groups")["groups"]
        standing = next((one["standing"] for one in groups if one["group_id"] == GROUP), None)
        if standing not in ("owner", "member"):
            self.survey.lost.append(f"{user_id} is {standing} in {GROUP}")

    # ------------------------------------------------------------ the end

    def close(self) -> None:
        """Ends all programs in good order; processes and temporary files left behind are noted in the survey."""
        for client in self._clients.values():
            if client.process.returncode is None:
                client.stop()
        self._tracker.stop()
        left = [process for process in psutil.process_iter() if self._is_ours(process)]
        _, alive = psutil.wait_procs(left, timeout=5)
        self.survey.left_over += [f"process {process.pid}" for process in alive]
        for process in alive:
            process.kill()
        self.survey.left_over += [path.name for path in self._temporary.iterdir()]
        shutil.rmtree(self._temporary)

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            return bool(process.environ().get("TMPDIR") == str(self._temporary))
        except psutil.Error:
            return False
