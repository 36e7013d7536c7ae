"""How often something may happen, by whoever does it: so many at once, then so many a second. Pure.

Whoever comes early may be told to wait a little instead of being turned away; the wait is bounded, and so is the number
of keys that are remembered (who was quiet for longest is forgotten first, and has nothing to be remembered for).
"""

from collections import OrderedDict


class TokenBuckets:
    def __init__(self, per_s: float, at_once: int, keys_max: int, wait_max_s: float = 0.0) -> None:
        self._per_s = per_s
        self._at_once = at_once
        self._keys_max = keys_max
        self._wait_max_s = wait_max_s
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now_s: float) -> float | None:
        """Once more: after how many seconds; None if that would be too long, and then it does not count."""
        tokens, at_s = self._left.pop(key, (float(self._at_once), now_s))
        tokens = min(tokens + max(0.0, now_s - at_s) * self._per_s, float(self._at_once))
        wait_s = max(0.0, (1 - tokens) / self._per_s)
        is_taken = wait_s <= self._wait_max_s
        self._left[key] = (tokens - is_taken, now_s)
        if len(self._left) > self._keys_max:
            self._left.popitem(last=False)
        return wait_s if is_taken else None
