"""How often one address may dial this client. Pure.

A handshake costs the one who is dialled a millisecond, and the one who dials nothing if it leaves then. Who comes too
often is hung up on before a worker hears of it; an honest peer dials again a second later.

Invariant: in any stretch of time one address is let in at most `dials_per_s_per_address` times a second, and
`dials_at_once_per_address` times on top of that.
"""

from collections import OrderedDict

from engine.settings import Settings

_ADDRESSES_MAX = 8192


class DialLimit:
    def __init__(self, settings: Settings) -> None:
        self._per_s = float(settings.dials_per_s_per_address)
        self._at_once = float(settings.dials_at_once_per_address)
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def may_enter(self, host: str, now_s: float) -> bool:
        """And counts it if so."""
        left, at_s = self._left.pop(host, (self._at_once, now_s))
        left = min(left + (now_s - at_s) * self._per_s, self._at_once)
        is_allowed = left >= 1
        self._left[host] = (left - is_allowed, now_s)
        if len(self._left) > _ADDRESSES_MAX:
            self._left.popitem(last=False)
        return is_allowed
