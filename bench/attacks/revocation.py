"""From `remove_member` to the last byte that a removed member was served, by peers of this and of another tracker.

The removed member is a program that never stops asking: it keeps four requests in flight on a link made before, and
counts bytes until the peer has closed the channel and answered every request. Then it tries to open the file again with
its old ticket, which has to be refused. At last the tracker of one peer is frozen (SIGSTOP): that peer cannot hear of
the removal, and the life of the ticket, made short for this, is the only bound.
"""

import argparse
import itertools
import signal
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from bench.record.report import Figure, Section, cell
from engine.wire.messages import Closed, Message, Open, Opened, PieceHeader, Refused, Reject, Request
from tests.testkit.measure import MIB, write_random
from tests.testkit.processes import LOOPBACK, ShellProcess, TrackerProcess, free_ports
from tests.testkit.raw_member import RawLink, RawMember
from tracker.protocol import manifests, requests
from tracker.protocol.addresses import TrackerAddress

_PASSWORD = "bench-password"
_IN_FLIGHT = 4
_FLOWING_BYTES = 4 * MIB
_SHORT_LIFE_S = 3
_GROUP, _FILE, _CHANNEL = "lab", "data.bin", 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=20)


def measure(options: argparse.Namespace) -> Section:
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as name, ExitStack() as stack:
        town = _Town(Path(name), stack)
        rounds = [(town.remove_once("near"), town.remove_once("far")) for _ in range(options.rounds)]
        near, far = [pair[0] for pair in rounds], [pair[1] for pair in rounds]
        cut_off_s = town.remove_unheard()
    rows = [
        [words, cell(statistics.median(samples)), cell(max(samples))]
        for words, samples in (("the tracker that made the change", near), ("another tracker of the same store", far))
    ]
    rows.append([f"a tracker that is frozen; tickets live {_SHORT_LIFE_S} s", cell(cut_off_s), cell(cut_off_s)])
    return Section(
        "revocation",
        "From removal to the last byte served",
        f"{options.rounds} rounds each, in turn; seconds from sending `remove_member` to the last byte that a peer of "
        "this tracker served to the removed member, which never stops asking.",
        ["the serving peer listens to", "median", "longest"],
        rows,
        [
            Figure("revocation to last byte served, same tracker", 1.0, statistics.median(near), "s", "at most"),
            Figure("revocation to last byte served, another tracker", 1.0, statistics.median(far), "s", "at most"),
            Figure("no tracker reaches the peer: ticket life is the bound", _SHORT_LIFE_S, cut_off_s, "s", "at most"),
        ],
        data={"near_s": near, "far_s": far, "unheard_s": cut_off_s},
    )


class _Town:
    """Two trackers over one store; an owner and the peer `near` at the first, the peer `far` at the second."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        ports = free_ports(5)
        lines = [f"{LOOPBACK} {port}\n" for port in ports[:2]]
        both = folder / "tracker_info.txt"
        both.write_text("".join(lines))
        self._address = TrackerAddress(LOOPBACK, ports[0])
        self._trackers = [
            TrackerProcess(both, number, folder / "tracker", options=["--ticket-life", str(_SHORT_LIFE_S)])
            for number in (1, 2)
        ]
        for tracker in self._trackers:
            stack.callback(tracker.stop)
        only = [folder / "only_first.txt", folder / "only_second.txt"]
        for path, line in zip(only, lines, strict=True):
            path.write_text(line)
        self._owner = self._join("owner", only[0], ports[2])
        self._owner.expect(f"create_group {_GROUP}")
        self._ports = {"near": ports[3], "far": ports[4]}
        file = write_random(folder / _FILE, 16 * MIB)
        for user_id, info in zip(("near", "far"), only, strict=True):
            peer = self._join(user_id, info, self._ports[user_id])
            peer.expect(f"join_group {_GROUP}")
            self._owner.expect(f"accept_request {_GROUP} {user_id}")
            peer.expect(f"upload_file '{file}' {_GROUP}")
        self._thief = RawMember(self._address, "thief")
        stack.callback(self._thief.close)
        self._thief.enter(_PASSWORD)

    def remove_once(self, user_id: str) -> float:
        """Seconds until the peer of this name served nothing more."""
        return self._remove_from(user_id, is_heard=True)

    def remove_unheard(self) -> float:
        """The same with the far peer's tracker frozen; counted from the removal, when the ticket is new."""
        frozen = self._trackers[1].process
        frozen.send_signal(signal.SIGSTOP)
        try:
            return self._remove_from("far", is_heard=False)
        finally:
            frozen.send_signal(signal.SIGCONT)

    def _remove_from(self, user_id: str, *, is_heard: bool) -> float:
        self._thief.tracker.ask(requests.JoinGroup(_GROUP))
        self._owner.expect(f"accept_request {_GROUP} thief")
        stream = _Stream(self._thief, self._ports[user_id])
        try:
            stream.wait_flowing()
            began_s = time.monotonic()
            self._owner.expect(f"remove_member {_GROUP} thief")
            last_byte_s = stream.wait_end()
            refusal = stream.try_again()
            expected = "old_ticket" if is_heard else "bad_ticket"
            if refusal != expected:
                raise RuntimeError(f"the old ticket was answered {refusal!r}, not refused as {expected}")
            if is_heard:
                # News of this removal that reached the other peer late would end, and so flatter, its next stream.
                stream.wait_refused_by(self._ports.values())
            return max(0.0, last_byte_s - began_s)
        finally:
            stream.close()

    def _join(self, user_id: str, tracker_info: Path, port: int) -> ShellProcess:
        shell = ShellProcess(tracker_info, port, self._folder / user_id, errors=subprocess.DEVNULL)
        self._stack.callback(shell.stop)
        shell.expect(f"create_user {user_id} {_PASSWORD}")
        shell.expect(f"login {user_id} {_PASSWORD}")
        return shell


class _Stream:
    """A link on which the thief asks for pieces, without end, in a thread."""

    def __init__(self, thief: RawMember, port: int) -> None:
        files = thief.tracker.ask(manifests.FetchManifest(_GROUP, _FILE))
        assert isinstance(files, manifests.Manifest), files
        self._pieces = -(-files.size_bytes // files.piece_bytes)
        self._identity = thief.identity
        self._link = RawLink(self._identity, LOOPBACK, port)
        self._open = Open(_CHANNEL, _GROUP, files.root, thief.ticket(_GROUP))
        self._link.send(self._open)
        answer = self._link.receive()
        if not isinstance(answer, Opened):
            raise RuntimeError(f"a member was not let in: {answer}")
        self._last_byte_s = time.monotonic()
        self._is_flowing = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def wait_flowing(self) -> None:
        if not self._is_flowing.wait(20):
            raise TimeoutError("the pieces do not flow")

    def wait_end(self) -> float:
        """When the last byte came (time.monotonic())."""
        self._thread.join(20)
        if self._failure is not None or self._thread.is_alive():
            raise RuntimeError("the stream did not end as it should") from self._failure
        return self._last_byte_s

    def try_again(self) -> str:
        """The code of the refusal of the same ticket; "" if it was let in."""
        self._link.send(self._open)
        while not isinstance(answer := self._link.receive(), Opened | Refused):
            pass
        return answer.code if isinstance(answer, Refused) else ""

    def wait_refused_by(self, ports: Iterable[int]) -> None:
        """Until each of these peers refuses the ticket. Raises TimeoutError."""
        until_s = time.monotonic() + 10
        for port in ports:
            while not self._is_refused_by(port):
                if time.monotonic() > until_s:
                    raise TimeoutError("a peer does not hear of the removal")
                time.sleep(0.02)

    def close(self) -> None:
        self._link.close()

    def _is_refused_by(self, port: int) -> bool:
        link = RawLink(self._identity, LOOPBACK, port)
        try:
            link.send(self._open)
            return isinstance(link.receive(), Refused)
        finally:
            link.close()

    def _take(self) -> None:
        try:
            self._take_all()
        except BaseException as error:
            self._failure = error

    def _take_all(self) -> None:
        numbers = itertools.count(1)
        left: dict[int, int] = {}
        is_closed = False
        while True:
            while not is_closed and len(left) < _IN_FLIGHT:
                number = next(numbers)
                self._link.send(Request(number, _CHANNEL, 0, 0, (number % self._pieces,)))
                left[number] = 0
            message: Message = self._link.receive()
            is_closed = is_closed or isinstance(message, Closed)
            if isinstance(message, PieceHeader):
                self._last_byte_s = time.monotonic()
                if self._link.body_bytes > _FLOWING_BYTES:
                    self._is_flowing.set()
                left[message.request_id] += message.length
                if left[message.request_id] == MIB // 4:
                    del left[message.request_id]
            elif isinstance(message, Reject):
                del left[message.request_id]
            if is_closed and not left:
                return
