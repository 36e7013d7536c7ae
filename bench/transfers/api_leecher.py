"""A leecher that uses the Python API (engine.Client): it fetches what it is told to, and says what that cost.

`ApiLeecher` is the measuring side; the leecher is `python -m bench.transfers.api_leecher`. The first line of its input
names its account and settings, each further line files to fetch, which one line answers. It is for many small files,
and for settings that the program does not offer. Not for: measuring what users run (bench.transfers.shoal).
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.testkit.processes import LOOPBACK, ROOT

if TYPE_CHECKING:
    from engine.client.client import Client


class ApiLeecher:
    """A process, logged in."""

    def __init__(
        self, tracker_info: Path, state: Path, user_id: str, password: str, settings: Mapping[str, float] | None = None
    ) -> None:
        command = [sys.executable, "-m", "bench.transfers.api_leecher"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        who = {"tracker_info": str(tracker_info), "state": str(state), "user_id": user_id, "password": password}
        self._ask({**who, "settings": dict(settings or {})})

    def fetch(self, group_id: str, names: Sequence[str], folder: Path, at_a_time: int = 1) -> dict[str, float]:
        """Seconds from the first download_file to the last completion, and CPU seconds. Nothing stays shared."""
        return self._ask({"group_id": group_id, "names": names, "folder": str(folder), "at_a_time": at_a_time})

    def close(self) -> None:
        self._process.communicate()

    def _ask(self, order: Mapping[str, Any]) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the leecher ended with {self._process.wait()}")
        answer: dict[str, float] = json.loads(line)
        return answer


# ---------------------------------------------------------------- the process


async def serve() -> None:
    """Until the input ends."""
    from engine.client.client import Client
    from engine.settings import Settings

    who = json.loads(sys.stdin.readline())
    client = await Client.start(
        LOOPBACK,
        0,
        Path(who["tracker_info"]),
        Path(who["state"]),
        settings=Settings(**who["settings"]),
    )
    await client.login(who["user_id"], who["password"])
    print("{}", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(await _fetch(client, json.loads(line))), flush=True)
    await client.close()


async def _fetch(client: "Client", order: dict[str, Any]) -> dict[str, float]:
    from tests.testkit.measure import cpu_seconds

    before_s, started_s = cpu_seconds([os.getpid()]), time.perf_counter()
    names = iter(order["names"])
    await asyncio.gather(*(_fetch_in_turn(client, order, names) for _ in range(order["at_a_time"])))
    report = {"seconds": time.perf_counter() - started_s, "cpu_s": cpu_seconds([os.getpid()]) - before_s}
    for name in order["names"]:
        await client.stop_share(order["group_id"], name)
    return report


async def _fetch_in_turn(client: "Client", order: dict[str, Any], names: Any) -> None:
    for name in names:
        await client.download_file(order["group_id"], name, order["folder"])
        status = await client.wait_download(order["group_id"], name)
        if status.state != "complete":
            raise RuntimeError(f"{name}: {status.error or status.state}")


if __name__ == "__main__":
    asyncio.run(serve())
