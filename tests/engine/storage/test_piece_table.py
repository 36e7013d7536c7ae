"""One file's arrays, seen by everybody who is attached to the same memory."""

import os
import subprocess
import sys

import numpy as np
import pytest

from engine.storage.manifest import LEAF_BYTES
from engine.storage.piece_table import PieceTable
from tests.testkit.processes import ROOT

_WRITER = """
import sys
from engine.storage.piece_table import PieceTable
have = PieceTable(int(sys.argv[1]), 20_000).have
while True:
    have[:] = 0
    for piece in range(20_000):
        have[piece] = 1
"""
"""Begins again and again, which no coordinator does: so there is no end to wait for."""


@pytest.mark.parametrize("piece_count", [0, 1, 3, 1000])
def test_two_attachments_see_each_others_writes(piece_count: int) -> None:
    ours, descriptor = PieceTable.create(piece_count)
    try:
        theirs = PieceTable(descriptor, piece_count)
    finally:
        os.close(descriptor)
    rng = np.random.default_rng(piece_count)
    ours.leaves[:] = leaves = rng.integers(0, 256, (piece_count, LEAF_BYTES), np.uint8)
    theirs.sent[:] = sent = rng.integers(0, 2**32, piece_count, np.uint32)
    ours.have[:] = have = rng.integers(0, 2, piece_count, np.uint8)
    for state in (ours, theirs):  # all three, after all writes: they do not overlap
        assert np.array_equal(state.leaves, leaves)
        assert np.array_equal(state.sent, sent)
        assert np.array_equal(state.have, have)


def test_fresh_state_is_all_zero() -> None:
    state, descriptor = PieceTable.create(5)
    os.close(descriptor)
    assert not state.leaves.any()
    assert not state.sent.any()
    assert not state.have.any()
    assert (state.leaves.shape, state.sent.shape, state.have.shape) == ((5, LEAF_BYTES), (5,), (5,))


@pytest.mark.parametrize("piece_count", [0, 4, 6, 1000])
def test_memory_of_another_size_is_refused(piece_count: int) -> None:
    _, descriptor = PieceTable.create(5)
    try:
        with pytest.raises(ValueError, match="another size"):
            PieceTable(descriptor, piece_count)
    finally:
        os.close(descriptor)


def test_the_descriptor_does_not_outlive_an_exec() -> None:
    _, descriptor = PieceTable.create(5)
    try:
        assert not os.get_inheritable(descriptor)
    finally:
        os.close(descriptor)


def test_pieces_are_listed_while_another_process_adds_some() -> None:
    state, descriptor = PieceTable.create(20_000)
    writer = subprocess.Popen([sys.executable, "-c", _WRITER, str(descriptor)], pass_fds=[descriptor], cwd=ROOT)
    os.close(descriptor)
    try:
        seen = 0
        while seen < 1000:  # of some, not of none or all
            pieces = state.verified()
            assert pieces == sorted(set(pieces))
            seen += 0 < len(pieces) < 20_000
            assert writer.poll() is None
    finally:
        writer.kill()
        writer.wait()
