"""A seeder that others reach at another port than the one it listens on, as behind a port forward.

The run `distance` puts it at the far end of a long path. It logs in, shares a file in some groups, prints `ready` and
serves until its input ends; its order is a line of JSON. It exists because the program `shoal` announces the port that
it listens on.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any


async def serve(order: dict[str, Any]) -> None:
    from engine.client.client import Client

    class Forwarded(Client):
        """Announces the near end of the path."""

        @property
        def port(self) -> int:
            return int(order["announced_port"])

    client = await Forwarded.start("127.0.0.1", order["port"], Path(order["tracker_info"]), Path(order["state"]))
    await client.login(order["user_id"], order["password"])
    for group_id in order["group_ids"]:
        await client.upload_file(Path(order["path"]), group_id)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await client.close()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.stdin.readline())))
