"""How long those who guess passwords have to wait. Pure; soft state of one tracker.

Three counts of wrong passwords are kept, each forgotten after a quarter of an hour without another one:

- for an account from one address: five are free, then the next try is refused for 1, 2, 4 … 300 s;
- from an address, whatever the account: twenty are free, then likewise up to 60 s;
- for an account from everywhere: twenty are free, then each try is answered later, by up to 8 s, but never refused.

Invariant: no stranger can lock anybody out. A refusal needs wrong passwords from the same address, and an address from
which the account has logged in before is exempt from the other two counts. A try counts from its beginning, so many
tries at the same time gain nothing.

Not here: the work on a password and who waits for it (service.passwords).
"""

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass

FORGOTTEN_AFTER_S = 900.0
ENTRIES_MAX = 20_000
"""Of each kind; the least recently used goes first."""


@dataclass(frozen=True, slots=True)
class Rule:
    free: int
    longest_s: float

    def delay_s(self, count: int) -> float:
        """1, 2, 4 … once the free ones are used up."""
        over = count - self.free
        return 0.0 if over < 0 else min(2.0 ** min(over, 30), self.longest_s)


PAIR = Rule(5, 300.0)
ADDRESS = Rule(20, 60.0)
ACCOUNT = Rule(20, 8.0)
NEW_ACCOUNTS = Rule(1000, 60.0)
"""For accounts made from one address."""


class _Counts:
    """Tries by key, with the time of the last one."""

    def __init__(self) -> None:
        self._tries: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def count(self, key: str, now_s: float) -> int:
        return self._recall(key, now_s)[0]

    def left_s(self, key: str, rule: Rule, now_s: float) -> float:
        """How long until the next try is taken."""
        count, last_s = self._recall(key, now_s)
        return max(0.0, last_s + rule.delay_s(count) - now_s)

    def _recall(self, key: str, now_s: float) -> tuple[int, float]:
        """The tries, and when the last one was. If the clock was set back since, the delay begins anew; else it would
        last until the clock is there again.
        """
        count, last_s = self._tries.get(key, (0, now_s))
        if last_s > now_s:
            last_s = now_s
            self._tries[key] = (count, now_s)
        return (count if now_s - last_s < FORGOTTEN_AFTER_S else 0), last_s

    def add(self, key: str, now_s: float) -> None:
        self._tries[key] = (self.count(key, now_s) + 1, now_s)
        self._tries.move_to_end(key)
        if len(self._tries) > ENTRIES_MAX:
            self._tries.popitem(last=False)

    def take_back(self, key: str) -> None:
        count, last_s = self._tries.get(key, (0, 0.0))
        if count > 1:
            self._tries[key] = (count - 1, last_s)
        else:
            self._tries.pop(key, None)

    def forget(self, key: str) -> None:
        self._tries.pop(key, None)


class Throttle:
    def __init__(self) -> None:
        self._pairs, self._addresses, self._accounts, self._makers = _Counts(), _Counts(), _Counts(), _Counts()
        self._familiar: OrderedDict[str, None] = OrderedDict()

    def refused_for_s(self, user_id: str, host: str, now_s: float) -> float:
        """How long passwords for this account are refused from this address; 0 if they are taken now."""
        left_s = self._pairs.left_s(_pair(user_id, host), PAIR, now_s)
        if self._is_familiar(user_id, host):
            return left_s
        return max(left_s, self._addresses.left_s(_net(host), ADDRESS, now_s))

    def begin(self, user_id: str, host: str, now_s: float) -> float:
        """Counts a try that is about to be made. Returns for how many seconds it should be held back."""
        hold_s = 0.0
        if not self._is_familiar(user_id, host):
            hold_s = ACCOUNT.delay_s(self._accounts.count(user_id, now_s))
        self._pairs.add(_pair(user_id, host), now_s)
        self._addresses.add(_net(host), now_s)
        self._accounts.add(user_id, now_s)
        return hold_s

    def count_wrong(self, host: str, now_s: float) -> int:
        """Wrong passwords from this address lately, with those that are being checked right now."""
        return self._addresses.count(_net(host), now_s)

    def succeeded(self, user_id: str, host: str) -> None:
        """The password was right: the try does not count, and this address is known for this account from now on."""
        self._pairs.forget(_pair(user_id, host))
        self._addresses.take_back(_net(host))
        self._accounts.take_back(user_id)
        self._familiar[_pair(user_id, host)] = None
        self._familiar.move_to_end(_pair(user_id, host))
        if len(self._familiar) > ENTRIES_MAX:
            self._familiar.popitem(last=False)

    def account_wanted(self, host: str, now_s: float) -> float:
        """Counts an account that is about to be made, and returns 0; or returns how long that has to wait."""
        left_s = self._makers.left_s(_net(host), NEW_ACCOUNTS, now_s)
        if not left_s:
            self._makers.add(_net(host), now_s)
        return left_s

    def _is_familiar(self, user_id: str, host: str) -> bool:
        return _pair(user_id, host) in self._familiar


def _net(host: str) -> str:
    """What one subscriber usually has: an IPv4 address, or a /64 of IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is None:
        return str(ipaddress.IPv6Network((int(address), 64), strict=False))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _pair(user_id: str, host: str) -> str:
    return f"{_net(host)} {user_id}"
