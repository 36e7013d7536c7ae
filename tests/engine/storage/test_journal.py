"""The journal tells what was synced, or nothing: it never tells more than was saved."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.storage import journal
from engine.swarm.geometry import PIECE_BYTES_MIN, Geometry
from tests.builders import geometry_of

ROOT = bytes(range(32))
GEOMETRY = geometry_of(13)
HAVE = np.array([1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0], np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".file.part.journal"


@given(flags=st.lists(st.integers(0, 1), max_size=40), is_clean=st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_saved_is_loaded(path: Path, flags: list[int], is_clean: bool) -> None:
    geometry = geometry_of(len(flags))
    journal.save(path, ROOT, geometry, np.array(flags, np.uint8), is_clean=is_clean)
    loaded = journal.load(path, ROOT, geometry)
    assert loaded is not None
    assert loaded[0].tolist() == flags
    assert loaded[1] is is_clean


def test_a_later_save_replaces_the_earlier_and_leaves_nothing_beside_it(path: Path) -> None:
    journal.save(path, ROOT, GEOMETRY, HAVE, is_clean=True)
    journal.save(path, ROOT, GEOMETRY, 1 - HAVE, is_clean=False)
    loaded = journal.load(path, ROOT, GEOMETRY)
    assert loaded is not None
    assert loaded[0].tolist() == (1 - HAVE).tolist()
    assert list(path.parent.iterdir()) == [path]


def test_no_journal_tells_nothing(path: Path) -> None:
    assert journal.load(path, ROOT, GEOMETRY) is None


def test_any_flipped_bit_tells_nothing(path: Path) -> None:
    journal.save(path, ROOT, GEOMETRY, HAVE, is_clean=True)
    good = path.read_bytes()
    for place in range(len(good)):
        for bit in range(8):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
            assert journal.load(path, ROOT, GEOMETRY) is None, (place, bit)


def test_any_truncation_or_addition_tells_nothing(path: Path) -> None:
    journal.save(path, ROOT, GEOMETRY, HAVE, is_clean=True)
    good = path.read_bytes()
    for length in range(len(good)):
        path.write_bytes(good[:length])
        assert journal.load(path, ROOT, GEOMETRY) is None, length
    path.write_bytes(good + b"\0")
    assert journal.load(path, ROOT, GEOMETRY) is None


@given(junk=st.binary(max_size=200))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_tells_nothing(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    assert journal.load(path, ROOT, GEOMETRY) is None


@pytest.mark.parametrize(
    ("root", "geometry"),
    [
        (ROOT[::-1], GEOMETRY),
        (ROOT, Geometry(GEOMETRY.size_bytes - 1, PIECE_BYTES_MIN)),
        (ROOT, Geometry(GEOMETRY.size_bytes, 2 * PIECE_BYTES_MIN)),
        (ROOT, geometry_of(14)),
    ],
)
def test_the_journal_of_another_file_tells_nothing(path: Path, root: bytes, geometry: Geometry) -> None:
    journal.save(path, ROOT, GEOMETRY, HAVE, is_clean=True)
    assert journal.load(path, root, geometry) is None


def test_another_piece_size_tells_nothing_even_where_the_piece_count_is_the_same(path: Path) -> None:
    journal.save(path, ROOT, Geometry(1000, PIECE_BYTES_MIN), np.ones(1, np.uint8), is_clean=True)
    assert journal.load(path, ROOT, Geometry(1000, 2 * PIECE_BYTES_MIN)) is None
