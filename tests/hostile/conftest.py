"""One arena for each module: the tests of a module attack the same processes one after the other."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.end_to_end.world import World
from tests.hostile.arena import Arena


@pytest.fixture(scope="module")
def shared_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    arena = Arena(tmp_path_factory.mktemp("arena"))
    arena.honest_download()  # so that what is measured next is not a first time
    check_memory = arena.watch_memory()
    yield arena
    arena.check_unharmed()
    check_memory()
    arena.close()


@pytest.fixture
def arena(shared_arena: Arena) -> Arena:
    """Looked at once more when all tests of the module are over: dead processes, changed files, kept memory."""
    return shared_arena


@pytest.fixture
def bare_world(tmp_path: Path) -> Iterator[World]:
    """Without a tracker that runs."""
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def world(bare_world: World) -> World:
    """With a tracker, and nobody else."""
    bare_world.start_tracker()
    return bare_world
