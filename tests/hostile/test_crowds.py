"""One member with many sessions, all of which say that they share a file, where nobody ever serves it."""

import filecmp
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.hostile.arena import FILE, GROUP, Arena
from tests.testkit.processes import LOOPBACK, free_ports
from tests.testkit.raw_member import RawMember
from tracker.protocol import requests, results

REACHED_WITHIN_S = 10.0


@contextmanager
def a_place(kind: str) -> Iterator[int]:
    """A port where nobody listens, or where somebody takes every link and says nothing."""
    if kind == "refused":
        yield free_ports(1)[0]
        return
    with socket.create_server((LOOPBACK, 0), backlog=4096) as listening:
        yield listening.getsockname()[1]


@contextmanager
def a_crowd(arena: Arena, accounts: int, sessions: int, port: int) -> Iterator[None]:
    """So many sessions of each account announce the file as complete."""
    share = requests.Share(GROUP, arena.manifest.root, True)
    members: list[RawMember] = []
    for _ in range(accounts):
        members.append(arena.new_member())
        members += [arena.again(members[-1]) for _ in range(sessions - 1)]
    for member in members:
        assert member.tracker.ask(requests.Announce(LOOPBACK, port, [share])) == results.Announced([])
    yield
    for member in members:
        member.close()


@pytest.mark.parametrize("kind", ["refused", "silent"])
def test_sessions_without_end_do_not_shut_a_file_off(arena: Arena, kind: str) -> None:
    with a_place(kind) as port, a_crowd(arena, 2, 40, port):
        for _ in range(3):  # by chance the honest sharer is among the first named now and then
            target = arena.world.new_folder()
            arena.bob.send(f"download_file {GROUP} {FILE} {target}")
            answer = arena.bob.result(REACHED_WITHIN_S)
            assert answer["ok"], answer
            assert filecmp.cmp(arena.file, target / FILE, shallow=False)
            arena.bob.expect(f"stop_share {GROUP} {FILE}")
    arena.check_unharmed()
