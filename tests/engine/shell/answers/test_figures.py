import pytest

from engine.shell.answers import figures


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1.0 KiB"),
        (340 << 20, "340 MiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (3 << 29, "1.5 GiB"),
        (1 << 60, "1024 PiB"),
    ],
)
def test_sizes(size_bytes: int, text: str) -> None:
    assert figures.size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0949, "95 ms"), (1.25, "1.2 s"), (59.97, "1 min 00 s"), (125, "2 min 05 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


def test_a_hundred_per_cent_is_the_whole_only() -> None:
    assert figures.percent(10**12 - 1, 10**12) == 99
    assert figures.percent(10**12, 10**12) == 100
    assert figures.percent(0, 0) == 100


def test_nothing_has_no_rate() -> None:
    assert figures.work(0, 0.0) == "0 bytes in 0 ms"
    assert figures.work(1 << 30, 2.0) == "1.0 GiB in 2.0 s, 512 MiB/s"
