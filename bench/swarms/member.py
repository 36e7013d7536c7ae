"""A client of Shoal on a host of its own in the run `swarm`: JSON lines with orders in, JSON lines with news out.

While it fetches it prints every 50 ms which pieces it gained; for that it looks at the download's bitfield, which the
public API does not show. It has one worker, since the machine's cores carry the clients of a whole swarm. Times are the
machine's monotonic clock. Not for: users.
"""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.client.client import Client

LOOK_EVERY_S = 0.05


def say(**what: Any) -> None:
    print(json.dumps(what), flush=True)


async def serve(order: dict[str, Any]) -> None:
    from engine.client.client import Client
    from engine.settings import Settings

    client = await Client.start(
        order["host"],
        order["port"],
        Path(order["tracker_info"]),
        Path(order["state"]),
        settings=Settings(workers=1),
    )
    await client.create_user(order["user_id"], order["password"])
    await client.login(order["user_id"], order["password"])
    say(is_ready=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        await _carry_out(client, order, json.loads(line))
    await client.close()


async def _carry_out(client: "Client", who: dict[str, Any], order: dict[str, Any]) -> None:
    group_id = who["group_id"]
    match order["do"]:
        case "own":
            await client.create_group(group_id)
        case "join":
            await client.join_group(group_id)
        case "accept":
            for user_id in order["user_ids"]:
                await client.accept_request(group_id, user_id)
        case "share":
            await client.upload_file(Path(order["path"]), group_id)
        case "fetch":
            await _fetch(client, group_id, order)
            return
        case "forget":  # and no link survives
            await client.stop_share(group_id, order["name"])
            Path(order["path"]).unlink()
            await client.logout()
            await client.login(who["user_id"], who["password"])
    say(is_ready=True)


async def _fetch(client: "Client", group_id: str, order: dict[str, Any]) -> None:
    name = order["name"]
    await asyncio.sleep(order["at_s"] - time.monotonic())
    await client.download_file(group_id, name, Path(order["folder"]))
    watching = asyncio.create_task(_watch(client, group_id, name))
    status = await client.wait_download(group_id, name)
    done_at_s = time.monotonic()
    await watching
    if status.state != "complete":
        raise RuntimeError(f"{name}: {status.error or status.state}")
    say(done_at_s=done_at_s, wasted_bytes=status.wasted_bytes)


async def _watch(client: "Client", group_id: str, name: str) -> None:
    download = client._downloads._downloads[group_id, name]
    said: set[int] = set()
    while True:
        is_over = not download.is_active
        gained = [piece for piece in download.store.shared.have.nonzero()[0].tolist() if piece not in said]
        if gained:
            said.update(gained)
            say(at_s=time.monotonic(), bytes=download.verified_bytes, pieces=gained)
        if is_over:
            return
        await asyncio.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.stdin.readline())))
