"""What was shared and fetched goes on after a logout, an exit, a crash; and stops when it has to."""

import filecmp
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.world import (
    MIB,
    PASSWORD,
    Answer,
    World,
    download,
    login,
    sharers,
    status,
    upload,
    wait_complete,
    wait_fetched,
    wait_until,
)
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("pausing")]

SIZE = 256 * MIB
PIECE = MIB // 4
IN_FLIGHT_MOST = 16 * PIECE
"""What may be fetched twice after a crash: eight pieces in flight, and as many that were just being written down."""


@dataclass
class Swarm:
    """seeder shares a file; leecher is logged in and waits for it, since seeder is logged out."""

    world: World
    group: str
    file: Path
    seeder: ShellProcess
    leecher: ShellProcess
    target: Path

    @property
    def copy(self) -> Path:
        return self.target / "data.bin"

    def login_leecher(self) -> Answer:
        return login(self.leecher, "leecher")

    def part_way(self, least_bytes: int = SIZE // 8) -> int:
        """Let the seeder in; bytes that are verified when the download is somewhere in its middle."""
        login(self.seeder, "seeder")
        verified_bytes: int = wait_fetched(self.leecher, "data.bin", least_bytes)["verified_bytes"]
        return verified_bytes

    def wait_state(self, *states: str) -> None:
        wait_until(lambda: status(self.leecher, "data.bin")["state"], lambda state: state in states, str(states))

    def finish(self) -> Answer:
        final = wait_complete(self.leecher, "data.bin")
        assert filecmp.cmp(self.file, self.copy, shallow=False)
        assert os.listdir(self.target) == ["data.bin"]
        return final


@dataclass
class Pair:
    world: World
    giver: ShellProcess
    taker: ShellProcess
    group: str


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("pausing"))
    try:
        world.start_tracker()
        yield world
    finally:
        world.close()


@dataclass
class Source:
    """seeder shares a file with leecher, and is logged out between the tests."""

    seeder: ShellProcess
    leecher: ShellProcess
    group: str
    file: Path


@pytest.fixture(scope="module")
def source(world: World) -> Source:
    seeder, file = world.join_in("seeder"), world.new_file("data.bin", SIZE)
    leecher = world.join_in("leecher")
    group = world.new_group(seeder, (leecher, "leecher"))
    upload(seeder, file, group)
    seeder.expect("logout")
    return Source(seeder, leecher, group, file)


@pytest.fixture
def swarm(world: World, source: Source) -> Iterator[Swarm]:
    target = world.new_folder()
    leecher = world.begin_in_background(source.leecher, "leecher", source.group, "data.bin", target)
    swarm = Swarm(world, source.group, source.file, source.seeder, leecher, target)
    yield swarm
    source.seeder = swarm.seeder
    source.seeder.run("logout")
    source.leecher = ready_again(world, swarm.leecher, "leecher")
    source.leecher.run(f"cancel_download {source.group} data.bin")
    source.leecher.run(f"stop_share {source.group} data.bin")
    shutil.rmtree(target)


@pytest.fixture(scope="module")
def couple(world: World) -> dict[str, ShellProcess]:
    return {name: world.join_in(name) for name in ("giver", "taker")}


@pytest.fixture
def pair(world: World, couple: dict[str, ShellProcess]) -> Iterator[Pair]:
    """A group of two of its own, for a small file."""
    giver, taker = couple["giver"], couple["taker"]
    pair = Pair(world, giver, taker, world.new_group(giver, (taker, "taker")))
    yield pair
    for name, client in (("taker", pair.taker), ("giver", pair.giver)):
        couple[name] = ready_again(world, client, name)
        couple[name].expect(f"leave_group {pair.group}")


def ready_again(world: World, client: ShellProcess, user_id: str) -> ShellProcess:
    """Logged in, whatever a test left of it."""
    if client.process.returncode is not None:
        client = world.start_client(user_id)
    client.run(f"login {user_id} {PASSWORD}")  # refused where it is logged in
    client.notices.clear()
    return client


def fetched_bytes(one: Answer) -> int:
    return sum(one["bytes_by_peer"].values())


# ---------------------------------------------------------------- serving


def test_a_logout_of_the_seeder_stops_its_serving_within_a_second_and_a_login_resumes_it(swarm: Swarm) -> None:
    swarm.part_way()
    swarm.seeder.expect("logout")
    after_s = time.monotonic()
    shown = [status(swarm.leecher, "data.bin")]
    while time.monotonic() < after_s + 2.0:
        shown.append(status(swarm.leecher, "data.bin"))
        if time.monotonic() < after_s + 1.0:
            at_one_second = shown[-1]
    assert shown[-1]["bytes_by_peer"] == at_one_second["bytes_by_peer"]
    assert 0 < shown[-1]["verified_bytes"] < SIZE
    assert sharers(swarm.leecher, swarm.group, "data.bin") == 0  # the leecher has a part of it
    swarm.wait_state("waiting")
    login(swarm.seeder, "seeder")
    assert fetched_bytes(swarm.finish()) == SIZE


def test_a_seeder_that_comes_and_goes_is_never_taken_for_another(swarm: Swarm) -> None:
    """Each login brings a new key at the old address; a link to the old key that is dialled again must not count."""
    fetched = 0
    begun_s = time.monotonic()
    while fetched < SIZE // 2 and time.monotonic() < begun_s + 4.0:
        login(swarm.seeder, "seeder")
        wait_fetched(swarm.leecher, "data.bin", fetched + MIB)
        swarm.seeder.expect("logout")
        fetched = status(swarm.leecher, "data.bin")["verified_bytes"]
    login(swarm.seeder, "seeder")
    assert fetched_bytes(swarm.finish()) == SIZE
    assert "bad_peer" not in {notice["notice"] for notice in swarm.leecher.notices}


@pytest.mark.parametrize("leave", ["exit", "kill -9"])
def test_a_restarted_client_serves_again_after_its_login(pair: Pair, leave: str) -> None:
    group, file, target = pair.group, pair.world.new_file(), pair.world.new_folder()
    upload(pair.giver, file, group)
    pair.giver.close() if leave == "exit" else pair.giver.kill()
    wait_until(lambda: sharers(pair.taker, group, "data.bin"), lambda count: bool(count == 0), "offline")
    pair.giver = pair.world.start_client("giver")
    pair.giver.expect("help")
    assert sharers(pair.taker, group, "data.bin") == 0  # not before the login
    report = login(pair.giver, "giver")
    assert (report["shares_resumed"], report["shares_dropped"]) == (1, [])
    assert sharers(pair.taker, group, "data.bin") == 1
    assert download(pair.taker, group, "data.bin", target)["bytes_by_peer"] == {"giver": 1000}
    assert filecmp.cmp(file, target / "data.bin", shallow=False)


def test_a_share_whose_file_changed_meanwhile_is_dropped_and_said(pair: Pair) -> None:
    giver, group = pair.giver, pair.group
    files = {change: pair.world.new_file(f"{change}.bin", 5000) for change in ("rewritten", "truncated", "replaced")}
    for file in (*files.values(), pair.world.new_file("same.bin")):
        upload(giver, file, group)
    giver.expect("logout")
    for change, file in files.items():
        change_file(file, change)
    report = login(giver, "giver")
    assert report["shares_resumed"] == 1
    # Somebody may be writing them just now, so a login does not wait for the verdict.
    wait_until(lambda: len(giver.expect("show_shares")["shares"]), lambda count: bool(count == 1), "judged")
    said = [notice["message"] for notice in giver.notices if notice["notice"] == "share_dropped"]
    said += [one["path"] for one in report["shares_dropped"]]
    assert all(any(str(file) in one for one in said) for file in files.values()), said
    online = {entry["name"]: entry["sharers_online"] for entry in giver.expect(f"list_files {group}")["files"]}
    assert online == {"same.bin": 1, **{file.name: 0 for file in files.values()}}
    giver.expect("logout")
    report = login(giver, "giver")
    assert (report["shares_dropped"], report["shares_waiting"]) == ([], [])  # said once


@pytest.mark.parametrize("change", ["rewritten", "truncated"])
def test_a_share_whose_file_changes_while_it_is_online_is_never_served_wrong(pair: Pair, change: str) -> None:
    file, target = pair.world.new_file("data.bin", 5000), pair.world.new_folder()
    upload(pair.giver, file, pair.group)
    change_file(file, change)
    pair.taker.send(f"download_file {pair.group} data.bin {target}")
    assert str(file) in pair.giver.wait_notice("share_dropped", 20)["message"]
    pair.taker.wait_notice("download_waiting", 20)
    assert sharers(pair.giver, pair.group, "data.bin") == 0
    assert not (target / "data.bin").exists()
    pair.taker.stop()  # its line still waits


def change_file(file: Path, change: str) -> None:
    if change == "rewritten":
        file.write_bytes(os.urandom(5000))
    elif change == "truncated":
        os.truncate(file, 100)
    else:
        other = file.with_name("other")
        other.write_bytes(os.urandom(5000))
        other.rename(file)


# ---------------------------------------------------------------- fetching


def test_a_download_paused_by_logout_goes_on_at_the_next_login(swarm: Swarm) -> None:
    seen_bytes = swarm.part_way()
    swarm.leecher.expect("logout")
    assert not swarm.copy.exists()
    assert swarm.login_leecher()["downloads_resumed"] == 1
    second_part_bytes = fetched_bytes(swarm.finish())
    assert 0 < second_part_bytes <= SIZE - seen_bytes


@pytest.mark.parametrize("leave", ["logout", "exit", "kill -9"])
def test_no_verified_piece_is_fetched_twice(swarm: Swarm, leave: str) -> None:
    """Exactly: the seeder stops first, so nothing is in flight when the leecher leaves."""
    swarm.part_way()
    swarm.seeder.expect("logout")
    swarm.wait_state("waiting")
    before = status(swarm.leecher, "data.bin")["verified_bytes"]
    assert 0 < before < SIZE
    if leave == "logout":
        swarm.leecher.expect("logout")
    else:
        swarm.leecher.close() if leave == "exit" else swarm.leecher.kill()
        swarm.leecher = swarm.world.start_client("leecher")
    assert swarm.login_leecher()["downloads_resumed"] == 1
    swarm.wait_state("downloading", "waiting")
    assert status(swarm.leecher, "data.bin")["verified_bytes"] == before
    login(swarm.seeder, "seeder")
    assert swarm.finish()["bytes_by_peer"] == {"seeder": SIZE - before}


@pytest.mark.parametrize("leave", ["exit", "kill -9"])
def test_a_download_that_was_torn_off_goes_on_after_a_restart(swarm: Swarm, leave: str) -> None:
    seen_bytes = swarm.part_way()
    swarm.leecher.close() if leave == "exit" else swarm.leecher.kill()
    assert not swarm.copy.exists()
    swarm.leecher = swarm.world.start_client("leecher")
    assert swarm.login_leecher()["downloads_resumed"] == 1
    second_part_bytes = fetched_bytes(swarm.finish())
    slack_bytes = 0 if leave == "exit" else IN_FLIGHT_MOST
    assert 0 < second_part_bytes <= SIZE - seen_bytes + slack_bytes


def test_a_seeder_that_moved_to_another_address_is_found_there(swarm: Swarm) -> None:
    swarm.part_way()
    swarm.seeder.kill()
    swarm.world.move("seeder")
    swarm.seeder = swarm.world.start_client("seeder")
    login(swarm.seeder, "seeder")
    assert fetched_bytes(swarm.finish()) == SIZE


def test_a_resumed_download_is_shared_when_it_is_complete_and_not_resumed_again(swarm: Swarm) -> None:
    login(swarm.seeder, "seeder")
    swarm.finish()
    assert sharers(swarm.seeder, swarm.group, "data.bin") == 2
    swarm.leecher.expect("logout")
    report = swarm.login_leecher()
    assert (report["shares_resumed"], report["downloads_resumed"]) == (1, 0)


def test_leaving_the_group_ends_its_downloads_and_removes_what_was_fetched(swarm: Swarm) -> None:
    swarm.part_way()
    swarm.leecher.expect(f"leave_group {swarm.group}")
    assert status(swarm.leecher, "data.bin")["state"] == "cancelled"
    assert list(swarm.target.iterdir()) == []
    assert sharers(swarm.seeder, swarm.group, "data.bin") == 1
    swarm.leecher.expect(f"join_group {swarm.group}")
    swarm.seeder.expect(f"accept_request {swarm.group} leecher")


def test_cancelling_in_the_middle_removes_what_was_fetched(swarm: Swarm) -> None:
    swarm.part_way()
    swarm.leecher.expect(f"cancel_download {swarm.group} data.bin")
    assert list(swarm.target.iterdir()) == []
    assert sharers(swarm.seeder, swarm.group, "data.bin") == 1
    assert download(swarm.leecher, swarm.group, "data.bin", swarm.target)["bytes_by_peer"] == {"seeder": SIZE}
