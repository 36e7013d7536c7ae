"""Figures of a download: the rate is that of its transfer, not of its waiting."""

import pytest

from engine.coordinator.download.progress import Progress

MIB = 1 << 20


def test_the_rate_of_a_finished_download_is_the_mean_of_its_transfer() -> None:
    progress = Progress(0.0)
    progress.enter("downloading", 2.0)  # two seconds of checking
    progress.bytes_by_peer["ann"] += 30 * MIB
    progress.enter("waiting", 12.0)
    progress.enter("downloading", 112.0)
    progress.bytes_by_peer["bob"] += 30 * MIB
    progress.enter("finishing", 121.0)
    progress.enter("complete", 122.0)
    assert (progress.transfer_s(1e6), progress.waiting_s(1e6)) == (20.0, 100.0)
    assert progress.mean_rate(1e6) == 3 * MIB


def test_what_was_here_already_does_not_count_for_the_rate() -> None:
    progress = Progress(0.0)
    progress.verified_bytes = 100 * MIB
    progress.enter("downloading", 0.0)
    progress.verified_bytes += MIB
    progress.bytes_by_peer["ann"] += MIB
    progress.enter("complete", 2.0)
    assert progress.mean_rate(9.0) == MIB / 2


def test_waiting_begins_when_nothing_was_asked_any_more_not_when_that_was_noticed() -> None:
    progress = Progress(0.0)
    progress.enter("downloading", 1.0)
    progress.enter("waiting", 3.0)  # found at 6 s
    assert (progress.transfer_s(6.0), progress.waiting_s(6.0)) == (2.0, 3.0)
    progress.enter("downloading", 2.0)  # not before it waited
    assert (progress.transfer_s(10.0), progress.waiting_s(10.0)) == (2.0 + 7.0, 0.0)


def test_without_space_it_waits() -> None:
    progress = Progress(0.0)
    progress.enter("no_space", 1.0)
    progress.enter("checking", 5.0)
    assert progress.waiting_s(9.0) == 4.0


@pytest.mark.parametrize("fetched_bytes", [0, MIB])
def test_no_time_has_no_rate(fetched_bytes: int) -> None:
    progress = Progress(0.0)
    progress.bytes_by_peer["ann"] = fetched_bytes
    assert progress.mean_rate(0.0) == 0.0
