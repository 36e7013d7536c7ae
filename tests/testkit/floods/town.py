"""The honest programs that a flood is to disturb: a tracker, a seeder and a leecher; and one attacker at a time.

The attacker (attacker) comes from other addresses of this machine and at a bounded rate. Not for: measuring what a
flood leaves of a download (bench.attacks.floods), testing whether it does harm (tests.hostile.test_floods).
"""

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.testkit.floods.attacker import FILE, GROUP, MEMBER, PASSWORD
from tests.testkit.measure import private_bytes, tree, write_random
from tests.testkit.processes import ROOT
from tests.testkit.raw_member import RawMember
from tests.testkit.swarm import Swarm
from tracker.protocol import requests
from tracker.protocol.addresses import TrackerAddress

AT_PEER = ("silent", "dripping", "handshakes", "greetings", "unread")
AT_TRACKER = ("silent", "dripping", "handshakes", "frames", "passwords", "requests")
FLOODS = [*((kind, "peer") for kind in AT_PEER), *((kind, "tracker") for kind in AT_TRACKER)]
_LOGIN = "visitor"
_SECONDS_MAX = 90
_SETTLED_S = 1.0


class Sample(NamedTuple):
    """One download and one login."""

    rate: float
    login_s: float


class Town:
    """The honest programs, and the attacker that disturbs them."""

    def __init__(self, folder: Path, size_bytes: int, stack: ExitStack) -> None:
        self._folder = folder
        self._swarm = swarm = Swarm(folder, 1)
        stack.callback(swarm.close)
        swarm.make_group(GROUP, "sealed", 1)
        swarm.share(write_random(folder / FILE, size_bytes), GROUP, 1)
        host, port = swarm.tracker_info.read_text().split()[:2]
        self._tracker = TrackerAddress(host, int(port))
        self._size_bytes = size_bytes
        for user_id in (MEMBER, _LOGIN):
            account = RawMember(self._tracker, user_id)
            account.enter(PASSWORD)
            if user_id == MEMBER:
                account.tracker.ask(requests.JoinGroup(GROUP))
                swarm.seeders[0].expect(f"accept_request {GROUP} {MEMBER}")
            account.close()
        self._victims = [swarm.tracker_pid, swarm.seeders[0].process.pid, swarm.leecher.process.pid]
        self.sample()  # the first time is like no other
        self._processes = self._pids()

    def count_dead(self) -> int:
        return len(self._processes - self._pids())

    def sample(self) -> Sample:
        began_s = time.monotonic()
        visitor = RawMember(self._tracker, _LOGIN)
        visitor.enter(PASSWORD, is_new=False)
        login_s = time.monotonic() - began_s
        visitor.close()
        with tempfile.TemporaryDirectory(dir=self._folder) as target:
            began_s = time.monotonic()
            self._swarm.download(f"download_file {GROUP} {FILE} '{target}'")
            took_s = time.monotonic() - began_s
            self._swarm.leecher.expect(f"stop_share {GROUP} {FILE}")
        self._swarm.renew_leecher()
        return Sample(self._size_bytes / took_s / 1e9, login_s)

    @contextlib.contextmanager
    def attacker(self, kind: str, at: str, share: float = 0.0) -> Iterator[int]:
        """Its process id, once the flood has begun. `share` of a core is for a bystander."""
        ports = {"tracker": self._tracker.port, "peer": self._swarm.seeder_ports[0]}
        words = [kind, *ports.values(), ports[at], share, _SECONDS_MAX]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.testkit.floods.attacker", *map(str, words)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                assert process.stdout is not None
                if process.stdout.readline() != "ready\n":
                    raise RuntimeError(f"the attacker {kind} failed")
                time.sleep(_SETTLED_S)
                yield process.pid
            finally:
                process.kill()

    def memory_bytes(self) -> int:
        return sum(map(private_bytes, self._victims))

    def _pids(self) -> set[int]:
        return {each.pid for pid in self._victims for each in tree(pid)}
