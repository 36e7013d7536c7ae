"""A tracker, an honest seeder and an honest leecher as real processes, and a member who may say anything.

`check_unharmed` is what every test here ends with: the same processes, the shared file unchanged, and the honest
download still right.
"""

import filecmp
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import psutil

from engine.net.tls import serving_context
from engine.wire.codec import Decoder, encode
from engine.wire.messages import PROTOCOL_VERSION, Hello, Message, Open, Opened, Refused, Role
from tests.end_to_end.world import MIB, PASSWORD, World, download, login, upload
from tests.testkit.measure import private_bytes
from tests.testkit.processes import LOOPBACK, ShellProcess
from tests.testkit.raw_member import RawLink, RawMember
from tracker.protocol import manifests, requests, results
from tracker.protocol.addresses import TrackerAddress

GROUP, OPEN_GROUP, FILE = "lab", "plain", "data.bin"
SIZE_BYTES = 8 * MIB
_MEMORY_KEPT_MAX_BYTES = 64 * MIB


class Arena:
    """ann owns the groups and shares the file; bob is a member of the sealed one, and mallory, who has no client."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.world.start_tracker()
        self.ann, self.bob = self.world.join_in("ann"), self.world.join_in("bob")
        self.ann.expect(f"create_group {GROUP}")
        self.file = self.world.new_file(FILE, SIZE_BYTES)
        upload(self.ann, self.file, GROUP)
        self.ann.expect(f"create_group {OPEN_GROUP} --open")
        upload(self.ann, self.file, OPEN_GROUP)
        self._content = self.file.read_bytes()
        self._new_members = 0
        self.bob.expect(f"join_group {GROUP}")
        self.ann.expect(f"accept_request {GROUP} bob")
        host, port = self.world.tracker_info.read_text().split()[:2]
        self.address = TrackerAddress(host, int(port))
        self.mallory = self.new_member("mallory")
        manifest = self.mallory.tracker.ask(manifests.FetchManifest(GROUP, FILE))
        assert isinstance(manifest, manifests.Manifest)
        self.manifest = manifest
        self._processes = self._pids()

    @property
    def piece_count(self) -> int:
        return -(-self.manifest.size_bytes // self.manifest.piece_bytes)

    def new_outsider(self, user_id: str) -> RawMember:
        """An account that is in no group."""
        outsider = RawMember(self.address, user_id)
        outsider.enter(PASSWORD)
        return outsider

    def new_member(self, user_id: str = "", group_id: str = GROUP) -> RawMember:
        """One who was let into the group."""
        self._new_members += 1
        member = self.new_outsider(user_id or f"member{self._new_members}")
        self.let_in(member, group_id)
        return member

    def let_in(self, member: RawMember, group_id: str = GROUP) -> None:
        assert member.tracker.ask(requests.JoinGroup(group_id)) == results.Done(group_id)
        self.ann.expect(f"accept_request {group_id} {member.user_id}")

    def again(self, member: RawMember) -> RawMember:
        """The same account with a new key, on a new connection."""
        other = RawMember(self.address, member.user_id)
        other.enter(PASSWORD, is_new=False)
        return other

    def dial(self, member: RawMember, *, greets: bool = True, is_open: bool = False) -> RawLink:
        """A link to ann's client."""
        port, key = self.world.port_of("ann"), self._key_of_ann() if is_open else None
        return RawLink(member.identity, LOOPBACK, port, greets=greets, open_to=key)

    def _key_of_ann(self) -> bytes:
        """Its thumbprint."""
        answer = self.mallory.tracker.ask(requests.FindPeers(GROUP, self.manifest.root, 10))
        assert isinstance(answer, results.Peers)
        return next(peer.thumbprint for peer in answer.peers if peer.user_id == "ann")

    def ask_for(self, link: RawLink, ticket: str, *, group_id: str = GROUP, root: bytes = b"") -> Opened | Refused:
        link.send(Open(1, group_id, root or self.manifest.root, ticket))
        answer = link.receive()
        assert isinstance(answer, Opened | Refused), answer
        return answer

    def honest_download(self) -> None:
        """bob fetches the file from whoever has it, and has it right."""
        target = self.world.new_folder()
        download(self.bob, GROUP, FILE, target)
        assert filecmp.cmp(self.file, target / FILE, shallow=False)
        self.bob.expect(f"stop_share {GROUP} {FILE}")

    def check_unharmed(self) -> None:
        assert self._pids() == self._processes, "a process died"
        assert self.file.read_bytes() == self._content
        self.again(self.mallory).close()
        self.honest_download()

    def watch_memory(self) -> Callable[[], None]:
        """Whether, since now, no honest process kept much memory: to be called at the end."""
        pids = [self.world.trackers[1].process.pid, self.ann.process.pid, self.bob.process.pid]
        before = [private_bytes(pid) for pid in pids]

        def check() -> None:
            grown = [private_bytes(pid) - old for pid, old in zip(pids, before, strict=True)]
            assert max(grown) < _MEMORY_KEPT_MAX_BYTES, grown

        return check

    def close(self) -> None:
        self.mallory.close()
        self.world.close()

    def _pids(self) -> set[int]:
        roots = [each.process.pid for each in (self.world.trackers[1], self.ann, self.bob)]
        return {*roots, *(child.pid for root in roots for child in psutil.Process(root).children(True))}


class Liar:
    """Serves the file of the arena as `behave` says, to everybody who dials; announced as complete."""

    def __init__(self, arena: Arena, behave: "Callable[[ServingEnd], None]") -> None:
        self.member = arena.again(arena.mallory)
        self.was_asked = threading.Event()
        self._behave, self._file = behave, arena.file
        self._context = serving_context(self.member.identity)
        self._listening = socket.create_server((LOOPBACK, 0))
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()
        share = requests.Share(GROUP, arena.manifest.root, True)
        port = self._listening.getsockname()[1]
        answer = self.member.tracker.ask(requests.Announce(LOOPBACK, port, [share]))
        assert answer == results.Announced([])

    def close(self) -> None:
        self.member.close()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for each in self._ends:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=[accepted], daemon=True).start()

    def _serve(self, accepted: socket.socket) -> None:
        try:
            secured = self._context.wrap_socket(accepted, server_side=True)
            self._ends.append(secured)
            self._behave(ServingEnd(secured, self.was_asked, self._file))
        except (OSError, EOFError, ValueError):
            pass  # the honest side hung up, which is what most of these are about
        finally:
            accepted.close()


class ServingEnd:
    """One link as a liar sees it. `file`: what it should serve."""

    def __init__(self, secured: socket.socket, was_asked: threading.Event, file: Path) -> None:
        self._socket, self._decoder = secured, Decoder()
        self.was_asked, self.file = was_asked, file

    def send(self, *messages: Message) -> None:
        for message in messages:
            self._socket.sendall(encode(message))

    def send_bytes(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> Message:
        while True:
            for message in self._decoder.messages():
                return message
            count = self._socket.recv_into(self._decoder.buffer())
            if not count:
                raise EOFError
            self._decoder.received(count)

    def until_asked_to_open(self) -> int:
        """Greets; the channel of the first OPEN."""
        self.send(Hello(PROTOCOL_VERSION, Role.SERVER))
        while not isinstance(message := self.receive(), Open):
            pass
        return message.channel


def lied_to(arena: Arena, behave: Callable[[ServingEnd], None], *, is_blamed: bool) -> list[dict[str, object]]:
    """bob asks while the liar is the only one who has the file; then ann comes back, and all has to end well.

    Returns the notices bob saw.
    """
    arena.ann.expect("logout")
    arena.bob.notices.clear()
    liar = Liar(arena, behave)
    target = arena.world.new_folder()
    try:
        arena.bob.send(f"download_file {GROUP} {FILE} {target}")
        assert liar.was_asked.wait(20), "the liar was never asked"
        if is_blamed:
            assert "mallory" in arena.bob.wait_notice("bad_peer", 20)["message"]
        login(arena.ann, "ann")
        result = arena.bob.result(60)
        assert result["ok"], result
        assert filecmp.cmp(arena.file, target / FILE, shallow=False)
        assert sorted(path.name for path in target.iterdir()) == [FILE]
        arena.bob.expect(f"stop_share {GROUP} {FILE}")
        return list(arena.bob.notices)
    finally:
        liar.close()
        if not _is_in(arena.ann):
            login(arena.ann, "ann")


def _is_in(client: ShellProcess) -> bool:
    return bool(client.run("list_groups")["ok"])
