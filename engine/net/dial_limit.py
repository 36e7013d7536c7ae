"""How often one address may dial this client. Pure.

A handshake costs this client CPU, and the one that dials nothing if it leaves then. A connection from an address that
dials too often is closed before a worker hears of it; an honest peer dials again a second later.

Invariant: in any stretch of time one address is let in at most `dials_per_s_per_address` times a second, and
`dials_at_once_per_address` times on top of that.
"""

from collections import OrderedDict

from engine.settings import Settings

_ADDRESSES_MAX = 8192


class DialLimit:
    """A token bucket for each address; the addresses that dialled longest ago are forgotten first."""

    def __init__(self, settings: Settings) -> None:
        self._per_s = float(settings.dials_per_s_per_address)
        self._at_once = float(settings.dials_at_once_per_address)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def may_enter(self, host: str, now_s: float) -> bool:
        """Whether this connection is let in; it is counted if so."""
        left, at_s = self._left.pop(host, (self._at_once, now_s))
        left = min(left + (now_s - at_s) * self._per_s, self._at_once)
        is_allowed = left >= 1
        self._left[host] = (left - is_allowed, now_s)
        if len(self._left) > _ADDRESSES_MAX:
            self._left.popitem(last=False)
        return is_allowed
