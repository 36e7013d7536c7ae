"""A rate limiter by key: so many at once, then so many a second. Pure.

A key that comes a little early may be told to wait instead of being refused.

Invariant: the wait and the number of remembered keys are bounded. The key that was quiet for longest is forgotten
first; its bucket is full again by then.
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
        """Takes one token. Returns for how many seconds to wait; None, and takes nothing, if that would be too long."""
        tokens, at_s = self._left.pop(key, (float(self._at_once), now_s))
        tokens = min(tokens + max(0.0, now_s - at_s) * self._per_s, float(self._at_once))
        wait_s = max(0.0, (1 - tokens) / self._per_s)
        is_taken = wait_s <= self._wait_max_s
        self._left[key] = (tokens - is_taken, now_s)
        if len(self._left) > self._keys_max:
            self._left.popitem(last=False)
        return wait_s if is_taken else None
