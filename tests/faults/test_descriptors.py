"""Every shared file keeps two descriptors open: where the system allows too few, that is said and nothing is lost."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import PASSWORD, World, login, upload

SHARES = 15


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.start_tracker()
    yield world
    world.close()


@pytest.mark.end_to_end
def test_shares_beyond_the_limit_of_open_files_are_said_and_stay_known(world: World) -> None:
    ann = world.join_in("ann")
    group = world.new_group(ann)
    for number in range(SHARES):
        upload(ann, world.new_file(f"file{number}.bin"), group)
    ann.close()
    limited = ["prlimit", "--nofile=150:150", *world.command("ann", "--json")]
    answers = world.run_program(limited, f"login ann {PASSWORD}\n").out.splitlines()
    report = next(one for one in map(json.loads, answers) if one.get("command") == "login")
    assert report["ok"], report
    assert 0 < report["shares_resumed"] < SHARES
    assert report["shares_resumed"] + len(report["shares_waiting"]) == SHARES
    assert all("ulimit" in one["reason"] for one in report["shares_waiting"])
    report = login(world.start_client("ann"), "ann")
    assert (report["shares_resumed"], report["shares_waiting"]) == (SHARES, [])
