"""How much one link may be asked for at a time, found from what it delivered; it is not a setting.

A link alone gets twice rate × round trip, so that the window doubles until the path is full and then stays there;
never more than QUEUE_S_MAX beyond one round trip, so that a slow source holds little back in the endgame.
Two things are observed. The rate is smoothed as time for a byte, since two pieces that come together after one wait are
no sign of speed. The round trip is the shortest time from request to grant on an idle link, forgotten slowly: a longer
wait says more about a queue than about the path, and a window fed with it would grow without end.

Not here: the sum over all links (scheduler).
"""

QUEUE_S_MAX = 0.25
_WEIGHT_OF_NEWEST = 0.3
_WEIGHT_OF_LONGER_TRIP = 0.02


class Window:
    """The pace of one link. Times are seconds of the caller's monotonic clock."""

    __slots__ = ("busy_since_s", "rate_bytes_per_s", "round_trip_s")

    def __init__(self) -> None:
        self.rate_bytes_per_s = 0.0
        self.round_trip_s = 0.0
        self.busy_since_s = 0.0

    @property
    def is_measured(self) -> bool:
        return self.rate_bytes_per_s > 0.0

    def asked(self, now_s: float, is_idle: bool) -> None:
        """A request left; `is_idle` when the link had none before."""
        if is_idle:
            self.busy_since_s = now_s

    def answered_from_idle(self, waited_s: float) -> None:
        """The head of a piece came `waited_s` after it was asked for, with nothing before it on this link."""
        if not self.round_trip_s or waited_s < self.round_trip_s:
            self.round_trip_s = waited_s
        else:
            self.round_trip_s += _WEIGHT_OF_LONGER_TRIP * (waited_s - self.round_trip_s)

    def delivered(self, size_bytes: int, now_s: float) -> None:
        """A piece is complete; the link was busy with it since the one before, or since it was asked."""
        took_s = max(now_s - self.busy_since_s, 1e-6)
        self.busy_since_s = now_s
        newest_s = took_s / size_bytes
        usual_s = 1.0 / self.rate_bytes_per_s if self.is_measured else newest_s
        self.rate_bytes_per_s = 1.0 / (usual_s + _WEIGHT_OF_NEWEST * (newest_s - usual_s))

    def needs_bytes(self) -> float:
        """In-flight bytes below which this link may run dry: 2 · rate · RTT, at most QUEUE_S_MAX beyond one RTT."""
        queue_s = min(2 * self.round_trip_s, self.round_trip_s + QUEUE_S_MAX)
        return self.rate_bytes_per_s * queue_s

    def seconds_for(self, size_bytes: int, unmeasured_rate: float) -> float:
        """How long this link takes for so many bytes; a link never measured is taken to be like the others."""
        rate = self.rate_bytes_per_s or unmeasured_rate
        return size_bytes / rate if rate else 0.0
