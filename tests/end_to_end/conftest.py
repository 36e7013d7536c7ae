"""Worlds of real processes: one for a test, or one for a whole module where a test needs a group of its own only."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import World


@pytest.fixture
def bare_world(tmp_path: Path) -> Iterator[World]:
    """Without a tracker that runs."""
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def world(bare_world: World) -> World:
    """With a tracker."""
    bare_world.start_tracker()
    return bare_world
