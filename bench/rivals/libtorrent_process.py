"""One libtorrent session in a process: `seed PORT TORRENT FOLDER` or `fetch PORT TORRENT FOLDER PEER_PORT …`.

A seed says `ready` and serves until its input ends. A fetcher says `ready`, waits for a line, fetches, says `done` with
its CPU seconds in between, and ends.

Settings: `high_performance_seed()` and what its tuning page names beyond it: no encryption, no uTP, no discovery, all
unchoked, deep request queues, large send buffers, two hashing threads (this many cores), four disk threads.
Not for: a libtorrent older than 2.
"""

import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import libtorrent as lt

LOOPBACK = "127.0.0.1"


def settings(port: int, host: str) -> Any:
    """Tuned for one fast transfer in plaintext."""
    chosen: dict[str, Any] = dict(lt.high_performance_seed())
    chosen |= {
        "listen_interfaces": f"{host}:{port}", "enable_dht": False, "enable_lsd": False, "enable_upnp": False,
        "enable_natpmp": False, "enable_outgoing_utp": False, "enable_incoming_utp": False, "in_enc_policy": 2,
        "out_enc_policy": 2, "allow_multiple_connections_per_ip": True, "unchoke_slots_limit": -1,
        "max_out_request_queue": 3000, "max_allowed_in_request_queue": 5000, "send_buffer_watermark": 10 << 20,
        "send_buffer_low_watermark": 1 << 20, "send_buffer_watermark_factor": 150, "hashing_threads": 2,
        "aio_threads": 4, "max_queued_disk_bytes": 64 << 20, "request_queue_time": 3, "connection_speed": 500,
    }  # fmt: skip
    return chosen


def start(
    port: int, torrent: Path, folder: str, is_seed: bool, host: str = LOOPBACK
) -> tuple[lt.session, lt.add_torrent_params]:
    """A session, and what to add to it."""
    session = lt.session(settings(port, host))
    parameters = lt.add_torrent_params()
    parameters.ti = lt.torrent_info(str(torrent))
    parameters.save_path = folder
    if is_seed:
        parameters.flags = lt.torrent_flags.seed_mode
    return session, parameters


def seed(port: int, torrent: Path, folder: str) -> None:
    session, parameters = start(port, torrent, folder, is_seed=True)
    session.add_torrent(parameters)
    print("ready", flush=True)
    sys.stdin.read()


def fetch(port: int, torrent: Path, folder: str, peer_ports: list[int]) -> None:
    session, parameters = start(port, torrent, folder, is_seed=False)
    print("ready", flush=True)
    sys.stdin.readline()
    before_s = _cpu_seconds()
    handle = session.add_torrent(parameters)
    for peer_port in peer_ports:
        handle.connect_peer((LOOPBACK, peer_port))
    while not handle.status().is_seeding:
        time.sleep(0.01)
    print("done", _cpu_seconds() - before_s, flush=True)


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    role, port, torrent, folder, *peers = sys.argv[1:]
    if role == "seed":
        seed(int(port), Path(torrent), folder)
    else:
        fetch(int(port), Path(torrent), folder, [int(peer) for peer in peers])
    os._exit(0)  # a session takes long to say farewell


if __name__ == "__main__":
    main()
