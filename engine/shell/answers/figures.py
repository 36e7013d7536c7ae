"""Numbers as people read them: sizes, rates, durations, shares of a whole. Pure.

Units are binary, because pieces, windows and the kernel's numbers are powers of two.

Invariant: 100 % means all of it; it is never a rounded figure.
Not for: programs, which get plain numbers (output).
"""

_UNITS = ("KiB", "MiB", "GiB", "TiB", "PiB")
_BAR_CELLS = 24


def size(size_bytes: float) -> str:
    if size_bytes < 1024:
        return "1 byte" if size_bytes == 1 else f"{size_bytes:.0f} bytes"
    amount, unit = size_bytes / 1024, _UNITS[0]
    for larger in _UNITS[1:]:
        if amount < 1023.5:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} {unit}" if amount >= 99.95 else f"{amount:.1f} {unit}"


def rate(bytes_per_s: float) -> str:
    return f"{size(bytes_per_s)}/s"


def work(size_bytes: int, seconds: float) -> str:
    """How much in which time, and how fast. Zero bytes have no rate."""
    amount = f"{size(size_bytes)} in {duration(seconds)}"
    return f"{amount}, {rate(size_bytes / max(seconds, 1e-3))}" if size_bytes else amount


def duration(seconds: float) -> str:
    if seconds < 0.095:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min"


def percent(done: int, whole: int) -> int:
    return 100 if done >= whole else 100 * done // whole


def bar(done: int, whole: int) -> str:
    filled = percent(done, whole) * _BAR_CELLS // 100
    return f"[{'=' * filled}{' ' * (_BAR_CELLS - filled)}]"


def count(amount: int, noun: str) -> str:
    return f"{amount} {noun}" if amount == 1 else f"{amount} {noun}s"
