"""Shared files are looked at every second, and the more there are the more seldom."""

from engine.client.housekeeping import pause_s


def test_few_are_looked_at_every_second_and_very_many_every_minute() -> None:
    assert pause_s(0) == 0.0
    assert pause_s(100) == 1.0
    assert pause_s(1500) == 15.0
    assert pause_s(100_000) == 60.0
