"""One course of a swarm: the programs on their hosts, the news they print while they fetch, and the times in it.

Not here: scenarios and goals (bench.swarms.shaped_links), what the programs do (member, rivals.libtorrent_member).
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from tests.testkit.measure import cpu_seconds
from tests.testkit.namespaces import Network, sent_bytes
from tests.testkit.processes import ROOT

START_AFTER_S = 0.5
RUN_TIMEOUT_S = 240.0
_TURN_S = 0.02


class Program:
    """A module running on a host; the first line it is sent is its order."""

    def __init__(self, network: Network, host: int, module: str, order: dict[str, Any]) -> None:
        self.host = host
        # In a session of its own: Ctrl-C is for the bench, which ends its programs itself.
        self._process = subprocess.Popen(
            [*network.inside(host), sys.executable, "-m", module],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._read_from = self._process.stdout.fileno()
        os.set_blocking(self._read_from, False)
        self._received = b""
        self.send(order)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def fileno(self) -> int:
        return self._read_from

    def send(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()

    def news(self) -> list[dict[str, Any]]:
        """All lines that came; raises RuntimeError if it ended."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._read_from, 1 << 16):
                self._received += data
            raise RuntimeError(f"the program on host {self.host} ended with {self._process.wait()}")
        *lines, self._received = self._received.split(b"\n")
        return [json.loads(line) for line in lines]

    def kill(self) -> None:
        """kill -9; a client's workers end by themselves."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """In good order if the program still can."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        try:
            self._process.wait(10.0)
        except subprocess.TimeoutExpired:
            self.kill()


def wait_for(word: str, programs: Sequence[Program]) -> None:
    """Until each program has printed it; other news is dropped. Raises TimeoutError."""
    missing, deadline_s = set(programs), time.monotonic() + RUN_TIMEOUT_S
    with _selector(programs) as selector:
        while missing:
            if time.monotonic() > deadline_s:
                raise TimeoutError(f"no word from hosts {sorted(each.host for each in missing)}")
            for key, _ in selector.select(_TURN_S):
                if any(word in line for line in key.fileobj.news()):  # type: ignore[union-attr]
                    missing.discard(key.fileobj)


@dataclass(slots=True)
class Course:
    """Times in seconds since the start. `curves`: by host, (time, bytes); `uploaded`: of the origin's link. Of the
    machine's cores `cpu_share` was taken by the swarm, `busy_share` by all programs.
    """

    size_bytes: int
    piece_count: int
    curves: dict[int, list[tuple[float, int]]] = field(default_factory=dict)
    first_seen: dict[int, float] = field(default_factory=dict)
    uploaded: list[tuple[float, int]] = field(default_factory=list)
    seconds: dict[int, float] = field(default_factory=dict)
    wasted_bytes: dict[int, int] = field(default_factory=dict)
    cpu_share: float = 0.0
    busy_share: float = 0.0

    @property
    def slowest_s(self) -> float:
        return max(self.seconds.values())

    @property
    def is_all_out(self) -> bool:
        """Whether every piece is at some leecher."""
        return len(self.first_seen) == self.piece_count

    @property
    def wasted_share(self) -> float:
        return sum(self.wasted_bytes.values()) / (self.size_bytes * len(self.wasted_bytes))

    def bytes_of(self, host: int) -> int:
        return self.curves[host][-1][1]

    def reached_s(self, host: int, share: float) -> float:
        """When this host had that share of the file."""
        return next(at_s for at_s, count in self.curves[host] if count >= share * self.size_bytes)

    def uploaded_when_out(self) -> float:
        """Bytes over the origin's link, headers included, until some leecher had the last piece; 0 without origin."""
        if not self.uploaded:
            return 0.0
        out_s = max(self.first_seen.values())
        before = max(((s, count) for s, count in self.uploaded if s <= out_s), default=self.uploaded[0])
        after = min(((s, count) for s, count in self.uploaded if s > out_s), default=self.uploaded[-1])
        part = (out_s - before[0]) / (after[0] - before[0]) if after[0] > before[0] else 0.0
        return before[1] + part * (after[1] - before[1]) - self.uploaded[0][1]

    def as_json(self) -> dict[str, Any]:
        return {"seconds": self.seconds, "wasted_bytes": self.wasted_bytes, "cpu_share": self.cpu_share,
                "busy_share": self.busy_share, "uploaded_when_out": self.uploaded_when_out()}  # fmt: skip


def follow(
    size_bytes: int,
    piece_count: int,
    origin: Program,
    leechers: Sequence[Program],
    order_for: Callable[[Program], dict[str, Any]],
    needed: Sequence[Program] = (),
    look: Callable[[Course], None] = lambda course: None,
) -> Course:
    """Let all leechers fetch at once, until the `needed` ones (or all) are complete. `look` may interfere."""
    course = Course(size_bytes, piece_count)
    started_s = time.monotonic() + START_AFTER_S
    pids = [origin.pid, *(each.pid for each in leechers)]
    cpu_s, idle_s = cpu_seconds(pids), _idle_s()
    for each in leechers:
        course.curves[each.host] = [(0.0, 0)]
        each.send({**order_for(each), "at_s": started_s})
    missing = {each.host for each in needed or leechers}
    with _selector(leechers) as selector:
        while missing:
            now_s = time.monotonic() - started_s
            if now_s > RUN_TIMEOUT_S:
                raise TimeoutError(f"hosts {sorted(missing)} are not complete after {RUN_TIMEOUT_S:g} s")
            if now_s >= 0 and not course.is_all_out and origin.is_alive:
                course.uploaded.append((now_s, sent_bytes(origin.pid)))
            for key, _ in selector.select(_TURN_S):
                for news in key.fileobj.news():  # type: ignore[union-attr]
                    _take(course, key.fileobj.host, news, started_s)  # type: ignore[union-attr]
            missing -= course.seconds.keys()
            look(course)
    core_s = (time.monotonic() - started_s + START_AFTER_S) * (os.cpu_count() or 1)
    course.cpu_share = (cpu_seconds(pids) - cpu_s) / core_s
    course.busy_share = 1 - (_idle_s() - idle_s) / core_s
    return course


def _idle_s() -> float:
    """Of all cores, since the machine started."""
    times = psutil.cpu_times()
    return float(times.idle + times.iowait)


def _take(course: Course, host: int, news: dict[str, Any], started_s: float) -> None:
    if "done_at_s" in news:
        course.seconds[host] = news["done_at_s"] - started_s
        course.wasted_bytes[host] = news["wasted_bytes"]
    elif "pieces" in news:
        at_s = news["at_s"] - started_s
        course.curves[host].append((at_s, news["bytes"]))
        for piece in news["pieces"]:
            course.first_seen[piece] = min(at_s, course.first_seen.get(piece, at_s))


def _selector(programs: Sequence[Program]) -> selectors.DefaultSelector:
    selector = selectors.DefaultSelector()
    for each in programs:
        selector.register(each, selectors.EVENT_READ)
    return selector
