"""Every input that is kept goes through its decoder (real encodings, and all that ever found something), and so do
some that hypothesis makes of them. `make fuzz` goes on from there for longer.
"""

import tracemalloc
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.seeds import RESULTS, SEEDS, UNASKED
from tests.fuzz.targets import CORPUS, TARGETS
from tests.testkit.builders import bounded
from tracker.protocol import events, manifests, results

INPUTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())
_MEMORY_MAX_BYTES = 64 << 20


def test_every_decoder_has_inputs_and_every_input_a_decoder() -> None:
    assert {path.parent.name for path in INPUTS} == set(TARGETS) == {make.__name__ for make in SEEDS}
    for path in INPUTS:
        assert path.stat().st_size <= TARGETS[path.parent.name].longest_bytes, path


def test_the_corpus_has_every_message_of_the_tracker() -> None:
    about_files = {manifests.Manifest, manifests.Page, manifests.Published}
    assert {type(result) for result in RESULTS} | about_files == set(get_args(results.Result))
    assert {type(message) for message in UNASKED} == set(get_args(results.FromTracker)) - {
        events.Welcome,
        results.Reply,
    }


@pytest.mark.parametrize("name", TARGETS)
def test_each_input_gives_a_message_or_the_documented_error(name: str) -> None:
    tracemalloc.start()
    try:
        for path in INPUTS:
            if path.parent.name == name:
                _check(name, path)
        assert tracemalloc.get_traced_memory()[1] < _MEMORY_MAX_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", TARGETS)
def test_each_input_with_a_part_exchanged_does_too(name: str) -> None:
    inputs = [path.read_bytes() for path in INPUTS if path.parent.name == name]

    @given(data=st.sampled_from(inputs), at=st.integers(0, 1 << 16), cut=st.integers(0, 8), new=st.binary(max_size=8))
    @bounded(40)
    def check(data: bytes, at: int, cut: int, new: bytes) -> None:
        at %= len(data) + 1
        TARGETS[name].check(data[:at] + new + data[at + cut :])

    check()


def _check(name: str, path: Path) -> None:
    try:
        TARGETS[name].check(path.read_bytes())
    except BaseException as error:
        error.add_note(f"with the input {path.relative_to(CORPUS)}")
        raise
