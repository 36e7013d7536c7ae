"""Logs in, fetches many files of a group through engine.Client, says how long it took. Reads its order as JSON.

The program that bench.small and bench.faults run; not for anything else.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.client import Client


async def fetch(order: dict[str, Any]) -> dict[str, float]:
    from bench.measure import cpu_seconds
    from engine.client import Client
    from engine.settings import Settings

    client = await Client.start(
        "127.0.0.1", 0, Path(order["tracker_info"]), Path(order["state"]), on_notice=lambda notice: None,
        settings=Settings(**order.get("settings", {})),
    )  # fmt: skip
    await client.login(order["user_id"], order["password"])
    before_s, started_s = cpu_seconds([os.getpid()]), time.perf_counter()
    names = iter(order["names"])
    await asyncio.gather(*(_fetch_in_turn(client, order, names) for _ in range(order["at_a_time"])))
    report = {"seconds": time.perf_counter() - started_s, "cpu_s": cpu_seconds([os.getpid()]) - before_s}
    await client.close()
    return report


async def _fetch_in_turn(client: "Client", order: dict[str, Any], names: Any) -> None:
    for name in names:
        await client.download_file(order["group_id"], name, order["folder"])
        status = await client.wait_download(order["group_id"], name)
        if status.state != "complete":
            raise RuntimeError(f"{name}: {status.error or status.state}")


if __name__ == "__main__":
    print(json.dumps(asyncio.run(fetch(json.load(sys.stdin)))))
