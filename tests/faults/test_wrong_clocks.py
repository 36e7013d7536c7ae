"""Clocks that jump: what can go on does, what cannot is said, and all of it goes on when the clock is right again."""

import filecmp
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.client.clock_check import ClockCheck
from tests.end_to_end.world import MIB, PASSWORD, World, download, login, upload
from tests.faults.wrong_clock import COMPILER, WrongClock

HOUR_S = 3600


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    world.start_tracker()
    yield world
    world.close()


@pytest.mark.end_to_end
@pytest.mark.skipif(COMPILER is None, reason="a wrong clock needs a C compiler")
def test_a_download_survives_a_clock_that_jumps_ahead_and_back(world: World) -> None:
    """Ahead, all tickets seem to have ended and are fetched anew. Behind, certificates are not valid yet: nobody is to
    blame for that, it is said, and the download goes on when the clock is right.
    """
    clock = WrongClock(world.folder)
    ann, bob = world.join_in("ann"), world.start_client("bob", **clock.environment)
    bob.expect(f"create_user bob {PASSWORD}")
    login(bob, "bob")
    ann.expect("create_group lab --open")
    bob.expect("join_group lab")
    ann.expect("accept_request lab bob")
    first, second = world.new_file("first.bin", MIB), world.new_file("second.bin", 8 * MIB)
    for file in (first, second):
        upload(ann, file, "lab")
    target = world.new_folder()

    clock.set_s(HOUR_S)
    download(bob, "lab", "first.bin", target)
    assert filecmp.cmp(first, target / "first.bin", shallow=False)
    bob.expect("stop_share lab first.bin")
    bob.expect("logout")  # and with it the links

    clock.set_s(-HOUR_S)
    login(bob, "bob")
    bob.send(f"download_file lab second.bin {target}")
    said = bob.wait_notice("clock")["message"]
    assert "60 minutes behind" in said
    bob.wait_notice("download_waiting")
    clock.set_s(0)
    assert bob.result(30)["ok"]
    assert filecmp.cmp(second, target / "second.bin", shallow=False)
    assert "bad_peer" not in {notice["notice"] for notice in bob.notices}


def test_a_wrong_clock_is_said_once_and_when_it_is_right_again() -> None:
    clocks = ClockCheck()
    assert clocks.heard(0, 29.9) is None
    said = clocks.heard(0, -7200.0)
    assert said is not None
    assert "2 hours behind" in said
    assert clocks.heard(0, -7210.0) is None
    assert "agree again" in (clocks.heard(0, 0.1) or "")
    assert clocks.heard(0, 0.1) is None
    assert "40 seconds ahead" in (clocks.heard(1, 40.0) or "")
