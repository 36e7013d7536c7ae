"""The coordinator's clock: ten times a second while pieces may move, once a second while a download waits or links are
left over, and not at all while a client only serves.

Not here: what a tick does to a download (fetching, swarm.scheduler).
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence

from engine.coordinator.download.fetching import Fetching
from engine.coordinator.peer_links import PeerLinks
from engine.coordinator.pool import Pool
from engine.ipc import orders

_IDLE_TICK_S = 1.0


class Clock:
    """`runs`: the downloads under way, by number; `fetching`: what is being fetched now; `pump`: to be called after
    each tick in which something is fetched.
    """

    def __init__(
        self,
        links: PeerLinks,
        pool: Pool,
        runs: Mapping[int, object],
        fetching: Callable[[], Sequence[Fetching]],
        pump: Callable[[], None],
        tick_s: float,
    ) -> None:
        self._links, self._pool, self._runs = links, pool, runs
        self._fetching, self._pump = fetching, pump
        self._tick_s = tick_s
        self._woken = asyncio.Event()

    def wake(self) -> None:
        """A download begins, or a peer opened a file."""
        self._woken.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._woken.clear()
            self._tick(time.monotonic())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause_s()):
                    await self._woken.wait()

    def _tick(self, now_s: float) -> None:
        """Rates, states, overdue pieces; links that carry nothing any more."""
        under_way = self._fetching()
        for fetching in under_way:
            fetching.tick(now_s)
        for link in self._links.idle(now_s):
            self._links.forget(link)
            self._pool.send(link.worker, orders.EndLink(link.link_id, "idle"))
        if under_way:
            self._pump()

    def _pause_s(self) -> float | None:
        if any(fetching.has_links for fetching in self._fetching()):
            return self._tick_s
        return _IDLE_TICK_S if self._runs or any(True for _ in self._links) else None
