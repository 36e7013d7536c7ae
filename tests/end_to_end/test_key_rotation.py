"""`python -m tracker rotate-key` beside running trackers and a running transfer."""

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from engine.wire.messages import Open, Opened, PieceHeader, Renew, Request
from tests.end_to_end.world import MIB, PASSWORD, World, upload
from tests.testkit.processes import LOOPBACK
from tests.testkit.raw_member import RawLink, RawMember
from tracker.protocol import manifests, requests, results
from tracker.protocol.addresses import TrackerAddress

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("key rotation")]

TICKET_LIFE_S = 1


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Two trackers whose tickets have to be renewed all the time."""
    world = World(tmp_path, trackers=2)
    for number in (1, 2):
        world.start_tracker(number, "--ticket-life", str(TICKET_LIFE_S))
    yield world
    world.close()


class Transfer:
    """A member who fetches one piece after the other over one link, renewing its ticket in time."""

    def __init__(self, world: World, group_id: str, tracker_number: int) -> None:
        host, port = world.tracker_info.read_text().splitlines()[tracker_number - 1].split()
        self.member = RawMember(TrackerAddress(host, int(port)), f"user{tracker_number}")
        self.member.enter(PASSWORD)
        assert self.member.tracker.ask(requests.JoinGroup(group_id)) == results.Done(group_id)
        self._world, self._group_id, self._request_id = world, group_id, 0
        self.kids: list[str] = []

    def begin(self) -> None:
        manifest = self.member.tracker.ask(manifests.FetchManifest(self._group_id, "data.bin"))
        assert isinstance(manifest, manifests.Manifest)
        self._link = RawLink(self.member.identity, LOOPBACK, self._world.port_of("ann"))
        self._link.send(Open(1, self._group_id, manifest.root, self._ticket()))
        assert isinstance(self._link.receive(), Opened)

    def go_on(self) -> None:
        if time.monotonic() > self._renew_at_s:
            self._link.send(Renew(self._group_id, self._ticket()))
        self._request_id += 1
        self._link.send(Request(self._request_id, 1, 0, 0, (0,)))
        answer = self._link.receive()
        assert isinstance(answer, PieceHeader), answer

    def close(self) -> None:
        self._link.close()
        self.member.close()

    def _ticket(self) -> str:
        ticket = self.member.ticket(self._group_id)
        self._renew_at_s = time.monotonic() + TICKET_LIFE_S / 3
        self.kids.append(jwt.get_unverified_header(ticket)["kid"])
        return ticket


def rotate(world: World, *options: str) -> str:
    command = [sys.executable, "-m", "tracker", "rotate-key", "--state", str(world.folder / "tracker"), *options]
    finished = world.run_program(command)
    assert (finished.code, finished.err) == (0, ""), finished
    return finished.out


def test_a_transfer_runs_through_a_change_of_the_ticket_key_on_every_tracker(world: World) -> None:
    ann = world.join_in("ann")
    group = world.new_group(ann)
    upload(ann, world.new_file("data.bin", MIB), group)
    transfers = [Transfer(world, group, number) for number in (1, 2)]
    for transfer in transfers:
        ann.expect(f"accept_request {group} {transfer.member.user_id}")
        transfer.begin()
    (old,) = {transfer.kids[0] for transfer in transfers}
    new = rotate(world, "--after", "1").split()[4].rstrip(":")
    assert old != new
    end_s = time.monotonic() + 20
    while not all(transfer.kids.count(new) * TICKET_LIFE_S / 3 > 1.5 * TICKET_LIFE_S for transfer in transfers):
        assert time.monotonic() < end_s, [transfer.kids for transfer in transfers]
        for transfer in transfers:
            transfer.go_on()
    for transfer in transfers:
        assert list(dict.fromkeys(transfer.kids)) == [old, new]
        transfer.close()
