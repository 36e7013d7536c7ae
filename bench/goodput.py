"""One plain TCP stream between two hosts: `receive HOST PORT` says bytes/s, `send HOST PORT BYTES` sends so many.

What a link is good for, headers and ramp-up taken off: the measure of `bench.swarm`. Not for: anything else.
"""

import socket
import subprocess
import sys
import time

from bench.namespaces import Network, host_address
from bench.processes import ROOT

_PORT = 7999
_BLOCK_BYTES = 1 << 18


def measure_goodput(network: Network, receiver: int, sender: int, size_bytes: int) -> float:
    """Bytes per second."""
    to = [host_address(receiver), str(_PORT)]
    module = [sys.executable, "-m", "bench.goodput"]
    receive = [*network.inside(receiver), *module, "receive", *to]
    with subprocess.Popen(receive, cwd=ROOT, stdout=subprocess.PIPE, text=True) as receiving:
        assert receiving.stdout is not None
        try:
            receiving.stdout.readline()
            subprocess.run([*network.inside(sender), *module, "send", *to, str(size_bytes)], cwd=ROOT, check=True)
            return float(receiving.stdout.readline())
        finally:
            receiving.kill()


def _receive(host: str, port: int) -> None:
    with socket.create_server((host, port)) as listening:
        print("ready", flush=True)
        connected, _ = listening.accept()
    block, received = bytearray(_BLOCK_BYTES), 0
    began_s = time.monotonic()
    with connected:
        while count := connected.recv_into(block):
            received += count
    print(received / (time.monotonic() - began_s), flush=True)


def _send(host: str, port: int, size_bytes: int) -> None:
    block = bytes(_BLOCK_BYTES)
    with socket.create_connection((host, port)) as connected:
        for _ in range(size_bytes // _BLOCK_BYTES):
            connected.sendall(block)


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        _receive(sys.argv[2], int(sys.argv[3]))
    else:
        _send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
