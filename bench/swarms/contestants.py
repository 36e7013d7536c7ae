"""Shoal and libtorrent as swarms on the hosts of a `Network`: host 0 has the tracker, 1 the origin, the rest leechers.

All programs stay started between courses; what a course left at the leechers is removed before the next. Not here:
what is measured (bench.swarms.shaped_links), what happens in one course (bench.swarms.course).
"""

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.rivals.libtorrent import PIECE_BYTES
from bench.rivals.torrent import write_torrent
from bench.swarms.course import Course, Program, follow, wait_for
from engine.swarm.sender_choice import SENT_FORGOTTEN_S
from tests.testkit.namespaces import Network, host_address
from tests.testkit.processes import TrackerProcess
from tests.testkit.swarm import PASSWORD

TRACKER, ORIGIN = 0, 1
_PORT, _TORRENT_PORT = 7001, 6881
_GROUP = "swarm"


class ShoalSwarm:
    """Sealed; the leechers ask the tracker for each other."""

    name = "Shoal"

    def __init__(self, network: Network, leechers: int, source: Path, folder: Path, piece_count: int) -> None:
        self._stack = ExitStack()
        self._source, self._folder, self._piece_count = source, folder, piece_count
        tracker_info = folder / "tracker_info.txt"
        tracker_info.write_text(f"{host_address(TRACKER)} 7000\n")
        try:
            tracker = TrackerProcess(tracker_info, 1, folder / "tracker", before=network.inside(TRACKER))
            self._stack.callback(tracker.stop)
            self.origin, *self.leechers = [
                self._start(network, host, tracker_info) for host in range(ORIGIN, ORIGIN + 1 + leechers)
            ]
            self._gather()
        except BaseException:
            self._stack.close()
            raise

    def _start(self, network: Network, host: int, tracker_info: Path) -> Program:
        order = {
            "host": host_address(host), "port": _PORT, "tracker_info": str(tracker_info), "user_id": f"host{host}",
            "password": PASSWORD, "group_id": _GROUP, "state": str(self._folder / f"state{host}"),
        }  # fmt: skip
        (self._folder / str(host)).mkdir()
        program = Program(network, host, "bench.swarms.member", order)
        self._stack.callback(program.close)
        return program

    def _gather(self) -> None:
        wait_for("is_ready", [self.origin, *self.leechers])
        _do([self.origin], {"do": "own"})
        _do(self.leechers, {"do": "join"})
        _do([self.origin], {"do": "accept", "user_ids": [f"host{each.host}" for each in self.leechers]})
        _do([self.origin], {"do": "share", "path": str(self._source)})

    def run(self, needed: Sequence[Program] = (), look: Callable[[Course], None] = lambda course: None) -> Course:
        """All leechers fetch the file, and then remove it."""
        course = self.fetch(self.leechers, needed, look)
        self.forget([each for each in self.leechers if each.host in course.seconds])
        return course

    def fetch(
        self,
        leechers: Sequence[Program],
        needed: Sequence[Program] = (),
        look: Callable[[Course], None] = lambda course: None,
    ) -> Course:
        """Afterwards those that are complete are seeders."""
        return follow(
            self._source.stat().st_size, self._piece_count, self.origin, leechers,
            lambda each: {"do": "fetch", "name": self._source.name, "folder": str(self._folder / str(each.host))},
            needed, look,
        )  # fmt: skip

    def wait_complete(self, leecher: Program) -> None:
        """One that a fetch did not wait for."""
        wait_for("done_at_s", [leecher])

    def forget(self, leechers: Sequence[Program]) -> None:
        """Removes the file at these leechers, and waits until the origin no longer counts what it sent."""
        for each in leechers:
            path = self._folder / str(each.host) / self._source.name
            each.send({"do": "forget", "name": self._source.name, "path": str(path)})
        wait_for("is_ready", leechers)
        time.sleep(SENT_FORGOTTEN_S)

    def close(self) -> None:
        self._stack.close()


class TorrentSwarm:
    """libtorrent in plaintext; every session is told of all others."""

    name = "libtorrent"

    def __init__(self, network: Network, leechers: int, source: Path, folder: Path) -> None:
        self._network, self._source, self._folder = network, source, folder
        self._hosts = range(ORIGIN, ORIGIN + 1 + leechers)
        self._torrent = write_torrent(source, folder, PIECE_BYTES)
        self._piece_count = -(-source.stat().st_size // PIECE_BYTES)

    def run(self) -> Course:
        """With new sessions; they end with it."""
        with ExitStack() as stack:
            programs = [self._start(host, stack) for host in self._hosts]
            wait_for("is_ready", programs)
            origin, *leechers = programs
            addresses = [host_address(host) for host in self._hosts]
            return follow(
                self._source.stat().st_size,
                self._piece_count,
                origin,
                leechers,
                lambda each: {"port": _TORRENT_PORT, "others": [a for a in addresses if a != host_address(each.host)]},
            )

    def _start(self, host: int, stack: ExitStack) -> Program:
        folder = self._source.parent
        if host != ORIGIN:
            folder = self._folder / f"torrent{host}"
            folder.mkdir()
            stack.callback(shutil.rmtree, folder)
        order = {
            "role": "seed" if host == ORIGIN else "fetch", "host": host_address(host), "port": _TORRENT_PORT,
            "torrent": str(self._torrent), "folder": str(folder),
        }  # fmt: skip
        program = Program(self._network, host, "bench.rivals.libtorrent_member", order)
        stack.callback(program.close)
        return program


def is_libtorrent_here() -> bool:
    return find_spec("libtorrent") is not None


def _do(programs: Sequence[Program], order: dict[str, Any]) -> None:
    for each in programs:
        each.send(order)
    wait_for("is_ready", programs)
