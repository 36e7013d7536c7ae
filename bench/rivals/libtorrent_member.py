"""A libtorrent session on a host of its own in the run `swarm`; it takes the orders that bench.swarms.member takes.

The order `fetch` names all other hosts, as a tracker would: every session may connect to every other.
"""

import json
import os
import sys
import time
import warnings
from pathlib import Path
from typing import Any

from bench.rivals.libtorrent_process import start
from bench.swarms.member import LOOK_EVERY_S, say


def main() -> None:
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    order = json.loads(sys.stdin.readline())
    is_seed = order["role"] == "seed"
    session, parameters = start(order["port"], Path(order["torrent"]), order["folder"], is_seed, order["host"])
    if is_seed:
        session.add_torrent(parameters)
    say(is_ready=True)
    for line in sys.stdin:
        _fetch(session, parameters, json.loads(line))
    os._exit(0)  # a session takes long to say farewell


def _fetch(session: Any, parameters: Any, order: dict[str, Any]) -> None:
    time.sleep(max(0.0, order["at_s"] - time.monotonic()))
    handle = session.add_torrent(parameters)
    for host in order["others"]:
        handle.connect_peer((host, order["port"]))
    said: set[int] = set()
    while True:
        status = handle.status()
        is_over = status.is_seeding
        gained = [piece for piece, is_there in enumerate(status.pieces) if is_there and piece not in said]
        if gained:
            said.update(gained)
            say(at_s=time.monotonic(), bytes=status.total_wanted_done, pieces=gained)
        if is_over:
            wasted = status.total_failed_bytes + status.total_redundant_bytes
            say(done_at_s=time.monotonic(), wasted_bytes=wasted)
            return
        time.sleep(LOOK_EVERY_S / 4)  # is_over decides the time


if __name__ == "__main__":
    main()
