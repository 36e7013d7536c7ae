"""Many sources at once: the load is shared, a leecher serves what it has, a lost seeder costs only its rate.

512 MiB by default; SHOAL_FULL=1 takes 1 GiB.
"""

import filecmp
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.end_to_end.world import MIB, World, login, sharers, status, upload, wait_complete, wait_fetched, wait_until
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("swarm"), pytest.mark.timeout(300)]

SIZE = (1024 if os.environ.get("SHOAL_FULL") == "1" else 512) * MIB
SEEDERS = ["seeder1", "seeder2", "seeder3"]


@dataclass
class Swarm:
    """Three seeders that are logged in, and nobody else; the file's group, and who owns it."""

    world: World
    owner: ShellProcess
    group: str
    file: Path
    seeders: dict[str, ShellProcess]

    def leecher(self) -> "Leecher":
        """Logged out; its next login begins the download. No seeder may be online."""
        user_id, target = self.world.new_name("leecher"), self.world.new_folder()
        client = self.world.join_in(user_id)
        client.expect(f"join_group {self.group}")
        self.owner.expect(f"accept_request {self.group} {user_id}")
        client = self.world.begin_in_background(client, user_id, self.group, "data.bin", target)
        client.expect("logout")
        return Leecher(user_id, client, target / "data.bin")

    def login_seeders(self) -> None:
        for user_id, seeder in self.seeders.items():
            login(seeder, user_id)


@dataclass
class Leecher:
    user_id: str
    client: ShellProcess
    copy: Path

    def begin(self) -> None:
        login(self.client, self.user_id)

    def bytes_by_peer(self) -> dict[str, int]:
        counts: dict[str, int] = status(self.client, "data.bin")["bytes_by_peer"]
        return counts

    def finish(self, file: Path) -> dict[str, int]:
        """Bytes by peer of the whole file, which is the same as the original."""
        by_peer: dict[str, int] = wait_complete(self.client, "data.bin", 120)["bytes_by_peer"]
        assert sum(by_peer.values()) == SIZE
        assert filecmp.cmp(file, self.copy, shallow=False)
        return by_peer


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swarm]:
    world = World(tmp_path_factory.mktemp("swarm"))
    try:
        world.start_tracker()
        owner = world.join_in("owner")
        group = world.new_group(owner)
        file = world.new_file("data.bin", SIZE)
        seeders = {user_id: world.join_in(user_id) for user_id in SEEDERS}
        for user_id, seeder in seeders.items():
            seeder.expect(f"join_group {group}")
            owner.expect(f"accept_request {group} {user_id}")
            upload(seeder, file, group)
        yield Swarm(world, owner, group, file, seeders)
    finally:
        world.close()


@pytest.fixture
def swarm(shared: Swarm) -> Swarm:
    for user_id, seeder in shared.seeders.items():
        if seeder.process.returncode is not None:
            shared.seeders[user_id] = shared.world.start_client(user_id)
        else:
            seeder.expect("logout")
    return shared


def test_the_load_is_shared_and_a_leecher_serves_before_it_is_complete(swarm: Swarm) -> None:
    first, second = swarm.leecher(), swarm.leecher()
    swarm.login_seeders()
    assert sharers(swarm.owner, swarm.group, "data.bin") == 3
    first.begin()
    wait_fetched(first.client, "data.bin", SIZE // 8)
    second.begin()
    wait_until(lambda: second.bytes_by_peer().get(first.user_id, 0), bool, "served by the first")
    assert status(first.client, "data.bin")["verified_bytes"] < SIZE
    by_peer = first.finish(swarm.file)
    for seeder in SEEDERS:
        assert 0.15 * SIZE <= by_peer.get(seeder, 0) <= 0.60 * SIZE, by_peer
    assert set(second.finish(swarm.file)) == {*SEEDERS, first.user_id}
    assert sharers(swarm.owner, swarm.group, "data.bin") == 5
    first.client.close()
    second.client.close()


def test_a_seeder_killed_midway_changes_nothing_but_the_rate(swarm: Swarm) -> None:
    leecher = swarm.leecher()
    swarm.login_seeders()
    leecher.begin()
    wait_until(leecher.bytes_by_peer, lambda by_peer: len(by_peer) == 3, "fetched from all")
    swarm.seeders["seeder2"].kill()
    assert status(leecher.client, "data.bin")["verified_bytes"] < SIZE
    by_peer = leecher.finish(swarm.file)
    assert 0 < by_peer["seeder2"] < min(by_peer["seeder1"], by_peer["seeder3"])
    assert "bad_peer" not in {notice["notice"] for notice in leecher.client.notices}
    wait_until(
        lambda: sharers(swarm.owner, swarm.group, "data.bin"), lambda count: bool(count == 3), "known to be gone"
    )
    leecher.client.close()
