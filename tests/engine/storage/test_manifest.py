"""A manifest is its root: any change of the hashes, the size or the piece size is another file."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.storage.manifest import LEAF_BYTES, BadManifest, Manifest, piece_hasher
from engine.swarm.geometry import PIECE_BYTES_MIN, Geometry
from tests.testkit.builders import bounded, geometry_of

LEAVES = bytes(range(3 * LEAF_BYTES))
MANIFEST = Manifest.of_leaves(geometry_of(3), LEAVES)
SIZE = MANIFEST.geometry.size_bytes


def test_the_root_does_not_change_between_versions() -> None:
    """It is the file's id in every tracker and on every disk: this must never need another value."""
    assert MANIFEST.root.hex() == "e573d8eb7a62fcdf9de3ef2648f32e4765b793cab4c7e22f0bdc3a1938f9c477"
    hasher = piece_hasher()
    hasher.update(b"piece")
    assert hasher.hexdigest() == "a24bf18cb1c695429f71d2e43c094c8995e524aa8183c55b0ecbb0924a02d634"


def test_what_was_made_here_is_accepted_there() -> None:
    checked = Manifest.check(SIZE, PIECE_BYTES_MIN, LEAVES, MANIFEST.root)
    assert checked.geometry == MANIFEST.geometry
    assert checked.root == MANIFEST.root
    assert np.array_equal(checked.leaves, MANIFEST.leaves)
    assert checked.leaves.shape == (3, LEAF_BYTES)


@given(bit=st.integers(0, len(LEAVES) * 8 - 1))
@bounded(60)
def test_any_bit_of_the_leaves_changes_the_root(bit: int) -> None:
    changed = bytearray(LEAVES)
    changed[bit // 8] ^= 1 << bit % 8
    assert Manifest.of_leaves(MANIFEST.geometry, bytes(changed)).root != MANIFEST.root
    with pytest.raises(BadManifest):
        Manifest.check(SIZE, PIECE_BYTES_MIN, bytes(changed), MANIFEST.root)


def test_the_size_is_part_of_the_root_where_the_piece_count_is_the_same() -> None:
    assert Geometry(SIZE - 1, PIECE_BYTES_MIN).piece_count == 3
    with pytest.raises(BadManifest):
        Manifest.check(SIZE - 1, PIECE_BYTES_MIN, LEAVES, MANIFEST.root)


def test_the_piece_size_is_part_of_the_root_where_the_piece_count_is_the_same() -> None:
    one = Manifest.of_leaves(Geometry(1000, PIECE_BYTES_MIN), bytes(LEAF_BYTES))
    with pytest.raises(BadManifest):
        Manifest.check(1000, 2 * PIECE_BYTES_MIN, bytes(LEAF_BYTES), one.root)


@given(bit=st.integers(0, 255))
@bounded(30)
def test_another_root_is_refused(bit: int) -> None:
    root = bytearray(MANIFEST.root)
    root[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadManifest):
        Manifest.check(SIZE, PIECE_BYTES_MIN, LEAVES, bytes(root))


@pytest.mark.parametrize("length", [0, 2 * LEAF_BYTES, 3 * LEAF_BYTES - 1, 3 * LEAF_BYTES + 1, 4 * LEAF_BYTES])
def test_a_wrong_number_of_leaves_is_refused(length: int) -> None:
    with pytest.raises(BadManifest):
        Manifest.check(SIZE, PIECE_BYTES_MIN, bytes(length), MANIFEST.root)


@pytest.mark.parametrize("count", [0, 2, 4])
def test_a_wrong_number_of_leaves_is_refused_also_under_the_root_they_hash_to(count: int) -> None:
    leaves = bytes(count * LEAF_BYTES)
    root = Manifest.of_leaves(MANIFEST.geometry, leaves).root
    with pytest.raises(BadManifest, match="bytes of hashes"):
        Manifest.check(SIZE, PIECE_BYTES_MIN, leaves, root)


@pytest.mark.parametrize(
    ("size_bytes", "piece_bytes"), [(-1, PIECE_BYTES_MIN), (SIZE, 0), (SIZE, 3), (2**63, PIECE_BYTES_MIN)]
)
def test_impossible_sizes_are_refused(size_bytes: int, piece_bytes: int) -> None:
    with pytest.raises(BadManifest):
        Manifest.check(size_bytes, piece_bytes, LEAVES, MANIFEST.root)


def test_an_empty_file_has_a_manifest_too() -> None:
    empty = Manifest.of_leaves(Geometry(0, PIECE_BYTES_MIN), b"")
    assert Manifest.check(0, PIECE_BYTES_MIN, b"", empty.root).leaves.shape == (0, LEAF_BYTES)


def test_no_piece_can_pass_for_a_list_of_leaves() -> None:
    """The same bytes hashed as a piece and as a root differ, since each has its own context."""
    hasher = piece_hasher()
    hasher.update(SIZE.to_bytes(8) + PIECE_BYTES_MIN.to_bytes(8) + LEAVES)
    assert hasher.digest() != MANIFEST.root
