"""The journal tells what was synced, or nothing: it never tells more than was saved."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.storage.journal import Journal, Mark, Saved
from engine.swarm.bitfield import Flags
from engine.swarm.geometry import PIECE_BYTES_MIN, Geometry
from tests.testkit.builders import geometry_of

ROOT = bytes(range(32))
GEOMETRY = geometry_of(13)
HAVE = np.array([1, 0, 0, 1, 1, 0, 1, 0, 1, 0, 1, 1, 0], np.uint8)


MARK = Mark(17, 1_700_000_000_123_456_789)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".file.part.journal"


def save(path: Path, have: Flags = HAVE, geometry: Geometry = GEOMETRY, *, is_clean: bool = True) -> None:
    """As a new process would: what is there is loaded first."""
    one = Journal(path, ROOT, geometry)
    one.load()
    one.save(have, MARK, is_clean=is_clean)
    one.close()


def load(path: Path, root: bytes = ROOT, geometry: Geometry = GEOMETRY) -> Saved | None:
    return Journal(path, root, geometry).load()


def pieces(saved: Saved | None, geometry: Geometry = GEOMETRY) -> list[int]:
    assert saved is not None
    have: list[int] = saved.have(geometry.piece_count).tolist()
    return have


@given(flags=st.lists(st.integers(0, 1), max_size=40), is_clean=st.booleans())
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_saved_is_loaded(path: Path, flags: list[int], is_clean: bool) -> None:
    geometry = geometry_of(len(flags))
    path.unlink(missing_ok=True)
    save(path, np.array(flags, np.uint8), geometry, is_clean=is_clean)
    saved = load(path, geometry=geometry)
    assert saved is not None
    assert pieces(saved, geometry) == flags
    assert (saved.is_clean, saved.mark) == (is_clean, MARK)


def test_the_last_save_counts_and_leaves_nothing_beside_it(path: Path) -> None:
    one = Journal(path, ROOT, GEOMETRY)
    for number in range(7):
        have = np.zeros(13, np.uint8)
        have[number] = 1
        one.save(have, MARK, is_clean=False)
        assert pieces(load(path)).index(1) == number
    one.close()
    save(path, HAVE)
    assert pieces(load(path)) == HAVE.tolist()
    assert list(path.parent.iterdir()) == [path]


def test_no_journal_tells_nothing(path: Path) -> None:
    assert load(path) is None


def test_any_flipped_bit_tells_nothing_or_what_was_saved_before(path: Path) -> None:
    save(path, HAVE)
    save(path, 1 - HAVE)
    good = path.read_bytes()
    used = len(good) // 2
    told = set()
    for place in [*range(180), *range(used, used + 180)]:
        for bit in range(8):
            path.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
            told.add(tuple(pieces(load(path))))
    assert told == {tuple(HAVE.tolist()), tuple((1 - HAVE).tolist())}


def test_any_truncation_tells_nothing_or_what_was_saved_before(path: Path) -> None:
    save(path, HAVE)
    good = path.read_bytes()
    for length in range(0, len(good), 3):
        path.write_bytes(good[:length])
        saved = load(path)
        assert saved is None or pieces(saved) == HAVE.tolist(), length
    path.write_bytes(good[: len(good) // 2])
    assert load(path) is None


def test_its_space_is_there_before_it_is_needed(path: Path) -> None:
    """So that a full disk keeps nothing from being saved: no save takes a block more than the first."""
    one = Journal(path, ROOT, geometry_of(100_000))
    one.save(np.zeros(100_000, np.uint8), MARK, is_clean=False)
    blocks = path.stat().st_blocks
    for _ in range(4):
        one.save(np.ones(100_000, np.uint8), MARK, is_clean=False)
    assert path.stat().st_blocks == blocks
    one.close()


def test_a_foreign_journal_never_wins_over_what_is_saved_after_it(path: Path) -> None:
    foreign = Journal(path, ROOT[::-1], GEOMETRY)
    for _ in range(9):
        foreign.save(1 - HAVE, MARK, is_clean=True)
    foreign.close()
    save(path, HAVE)
    assert pieces(load(path)) == HAVE.tolist()
    assert load(path, ROOT[::-1]) is None


def test_the_journal_of_an_earlier_version_tells_nothing(path: Path) -> None:
    path.write_bytes(b"shoal journal v1\n" + bytes(400))
    assert load(path) is None


def test_a_symbolic_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "victim").write_bytes(b"precious")
    path.symlink_to(tmp_path / "victim")
    assert load(path) is None
    with pytest.raises(OSError, match="symbolic"):
        save(path)
    assert (tmp_path / "victim").read_bytes() == b"precious"


@given(junk=st.binary(max_size=200))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_junk_tells_nothing(path: Path, junk: bytes) -> None:
    path.write_bytes(junk)
    assert load(path) is None


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
    save(path)
    assert load(path, root, geometry) is None


def test_another_piece_size_tells_nothing_even_where_the_piece_count_is_the_same(path: Path) -> None:
    save(path, np.ones(1, np.uint8), Geometry(1000, PIECE_BYTES_MIN))
    assert load(path, geometry=Geometry(1000, 2 * PIECE_BYTES_MIN)) is None
