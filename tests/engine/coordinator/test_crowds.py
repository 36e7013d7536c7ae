"""A download beside any number of sessions that say they have the file and never give it, handed out as the tracker
does it.
"""

import random
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import pytest

from engine.coordinator.download.peer_answers import PeerReport
from engine.coordinator.peer_links import PeerAddress
from tests.engine.conftest import Node, World
from tests.testkit.builders import MIB
from tests.testkit.fakes import FakeDirectory
from tracker.rules.handout import Handout
from tracker.rules.peer_reports import Asker
from tracker.rules.presence import Sharer

REACHED_WITHIN_S = 10.0
ASKER = Asker(0, "bob")


class HandingOut(FakeDirectory):
    """As the tracker would, of these sharers."""

    def __init__(self, of: FakeDirectory, sharers: list[Sharer]) -> None:
        super().__init__(of.member)
        self.is_open, self.sharers = of.is_open, sharers
        self._handout, self._chance = Handout(), random.Random(3)

    async def find_peers(self, group_id: str, root: bytes, report: PeerReport) -> list[PeerAddress]:
        swarm, now_s = (group_id, root), time.monotonic()
        self._handout.report(swarm, ASKER, report.failed, report.served, self.sharers, now_s)
        handed = self._handout.choose(swarm, ASKER, self.sharers, 20, self._chance, now_s)
        return [PeerAddress(one.user_id, one.host, one.port, one.thumbprint) for one in handed.peers]


@contextmanager
def a_place(kind: str) -> Iterator[int]:
    """Where nobody listens; where links are taken and nothing is said; where the first packet is never answered."""
    with ExitStack() as open_sockets:
        backlog = 0 if kind == "unanswered" else 4096
        listening = open_sockets.enter_context(socket.create_server(("127.0.0.1", 0), backlog=backlog))
        port: int = listening.getsockname()[1]
        if kind == "refused":
            listening.close()
        if kind == "unanswered":  # the queue is full from now on
            for _ in range(4):
                waiting = open_sockets.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.1", port))
        yield port


def a_crowd(accounts: int, sessions: int, port: int) -> list[Sharer]:
    return [
        Sharer(number + 1, f"crowd{number % accounts}", number.to_bytes(32), "127.0.0.1", port, True)
        for number in range(accounts * sessions)
    ]


def rig(node: Node, sharers: list[Sharer]) -> None:
    directory = HandingOut(node.directory, sharers)
    node.directory = directory
    node.coordinator._directory = directory
    node.coordinator._services = replace(node.coordinator._services, directory=directory)


@pytest.mark.parametrize("kind", ["refused", "silent", "unanswered"])
@pytest.mark.parametrize(("accounts", "sessions"), [(1, 1), (1, 30), (1, 128), (5, 1), (5, 30), (5, 128), (40, 3)])
async def test_the_honest_sharer_is_reached(world: World, kind: str, accounts: int, sessions: int) -> None:
    if world.is_open and sessions != 30:
        pytest.skip("one of these is enough over open links")
    ann, bob = await world.node("ann"), await world.node("bob")
    path, manifest = await world.file("data.bin", 2 * MIB, ann)
    ann.serve(path, manifest)
    with a_place(kind) as port:
        honest = Sharer(9999, "ann", ann.member.thumbprint, "127.0.0.1", ann.listener.port, True)
        rig(bob, [*a_crowd(accounts, sessions, port), honest])
        began_s = time.monotonic()
        _, fetching = bob.fetch(world.folder / "copy.bin", manifest)
        assert await fetching is not None
        assert time.monotonic() - began_s < REACHED_WITHIN_S
