"""One plain TCP stream between two hosts: what a link is good for, which is the measure of the run `swarm`.

Started as a program on each host: `receive HOST PORT` prints bytes/s with headers and ramp-up taken off, `send HOST
PORT BYTES` the share of the bytes over its link that was payload.
"""

import os
import socket
import subprocess
import sys
import time
from typing import NamedTuple

from tests.testkit.namespaces import Network, host_address, sent_bytes
from tests.testkit.processes import ROOT

_PORT = 7999
_BLOCK_BYTES = 1 << 18


class Goodput(NamedTuple):
    """`payload_share`: of the bytes that the sender's link counts."""

    bytes_per_s: float
    payload_share: float


def measure_goodput(network: Network, receiver: int, sender: int, size_bytes: int) -> Goodput:
    to = [host_address(receiver), str(_PORT)]
    module = [sys.executable, "-m", "bench.swarms.goodput"]
    receive = [*network.inside(receiver), *module, "receive", *to]
    with subprocess.Popen(receive, cwd=ROOT, stdout=subprocess.PIPE, text=True) as receiving:
        assert receiving.stdout is not None
        try:
            receiving.stdout.readline()
            send = [*network.inside(sender), *module, "send", *to, str(size_bytes)]
            sending = subprocess.run(send, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
            return Goodput(float(receiving.stdout.readline()), float(sending.stdout))
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
    block, before = bytes(_BLOCK_BYTES), sent_bytes(os.getpid())
    with socket.create_connection((host, port)) as connected:
        for _ in range(size_bytes // _BLOCK_BYTES):
            connected.sendall(block)
        connected.shutdown(socket.SHUT_WR)
        connected.recv(1)  # until the other side has read it all
    payload_bytes = size_bytes // _BLOCK_BYTES * _BLOCK_BYTES
    print(payload_bytes / (sent_bytes(os.getpid()) - before))


if __name__ == "__main__":
    if sys.argv[1] == "receive":
        _receive(sys.argv[2], int(sys.argv[3]))
    else:
        _send(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
