"""How soon one tracker usually answers, and whether it does at present. Pure.

A process that hangs is worse than one that died, because its system goes on taking connections and bytes. So a call
that takes several times as long as usual is made to another tracker too, and a tracker that did not answer in time is
asked last until it answers again.

Not for: requests that take long by their nature, such as the work on a password (asking).
"""

PATIENCE_MIN_S = 0.3
"""A shorter wait may be the pause of a busy machine."""
PATIENCE_MAX_S = 1.0
_PATIENCE_IN_MEANS = 4
_WEIGHT_OF_NEWEST = 1 / 8


class Promptness:
    def __init__(self) -> None:
        self.is_lapsing = False
        self._mean_s: float | None = None

    @property
    def patience_s(self) -> float:
        """How long an answer is waited for before another tracker is asked too."""
        usual_s = _PATIENCE_IN_MEANS * (self._mean_s or 0.0)
        return min(max(usual_s, PATIENCE_MIN_S), PATIENCE_MAX_S)

    def answered(self, after_s: float) -> None:
        self.is_lapsing = False
        if self._mean_s is None:
            self._mean_s = after_s
        else:
            self._mean_s += (after_s - self._mean_s) * _WEIGHT_OF_NEWEST

    def lapsed(self) -> None:
        """It did not answer in time."""
        self.is_lapsing = True
