"""What an upload says of the reading: nothing was read if the hashes were known."""

from engine.uploads import Reading


def test_what_was_read_is_counted_and_passed_on() -> None:
    heard: list[tuple[int, int]] = []
    reading = Reading(lambda done, total: heard.append((done, total)))
    assert reading.done_bytes == 0
    reading.progressed(50, 100)
    reading.progressed(100, 100)
    assert heard == [(50, 100), (100, 100)]
    assert reading.done_bytes == 100
