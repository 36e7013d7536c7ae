"""Hosts on one machine: network namespaces joined by a bridge, every link shaped in both directions. Needs root.

A host is a namespace with one link, `host_address(number)`; the bridge has a namespace of its own. So nothing is added
to the machine's own network, and whatever is inside goes with its namespace, also after an error or Ctrl-C; what a run
that was killed left behind, processes too, is removed by the next one. Shaping is a token bucket at each end of a link
(its queue holds 50 ms), so an uplink and a downlink are two bottlenecks, as with a network card. TCP on every host has
Linux's default congestion control, cubic, whatever the machine itself is set to.

Not for: delay and loss; not every kernel has netem.
"""

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress

import psutil

_PREFIX = "shoal-bench"
_LEFT_BEHIND = re.compile(rf"{_PREFIX}-(\d+)-\w+")
_SUBNET, _PREFIX_BITS = "10.77.0", 24
_BURST, _QUEUE = "128kb", "50ms"
"""The burst lets the kernel's large segments (64 KiB) pass whole: taking them apart costs CPU that the clients need."""


class NoNamespaces(Exception):
    """They cannot be made here; says what is missing."""


def check_possible() -> None:
    """Raises NoNamespaces."""
    if os.geteuid() != 0:
        raise NoNamespaces("network namespaces need root")
    for program in ("ip", "tc"):
        if shutil.which(program) is None:
            raise NoNamespaces(f"the program {program} is missing: install iproute2")


def host_address(number: int) -> str:
    return f"{_SUBNET}.{number + 1}"


class Network:
    """So many hosts, with links of so many Mbit/s; None: not shaped. Use as a context manager."""

    def __init__(self, rates_mbit: Sequence[float | None]) -> None:
        self._rates = rates_mbit
        self._bridge = f"{_PREFIX}-{os.getpid()}-bridge"

    def __enter__(self) -> "Network":
        _remove_left_behind()
        try:
            _ip("netns", "add", self._bridge)
            _ip("-n", self._bridge, "link", "add", "bridge", "type", "bridge")
            _ip("-n", self._bridge, "link", "set", "bridge", "up")
            for number, rate in enumerate(self._rates):
                self._add_host(number)
                if rate is not None:
                    self.shape(number, rate)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in [*map(self._host, range(len(self._rates))), self._bridge]:
            with suppress(NoNamespaces):
                _ip("netns", "delete", name)

    def inside(self, number: int) -> list[str]:
        """What to put before a command so that it runs on this host; it stays the same process."""
        return ["ip", "netns", "exec", self._host(number)]

    def shape(self, number: int, rate_mbit: float) -> None:
        """From now on this host sends and receives at this rate."""
        for where, device in ((self._host(number), "wire"), (self._bridge, f"port{number}")):
            _run(
                "tc", "-n", where, "qdisc", "replace", "dev", device, "root",
                "tbf", "rate", f"{rate_mbit:g}mbit", "burst", _BURST, "latency", _QUEUE,
            )  # fmt: skip

    def cut(self, number: int) -> None:
        """From now on nothing reaches this host, and nobody is told."""
        _ip("-n", self._bridge, "link", "set", f"port{number}", "down")

    def mend(self, number: int) -> None:
        _ip("-n", self._bridge, "link", "set", f"port{number}", "up")

    def _host(self, number: int) -> str:
        return f"{_PREFIX}-{os.getpid()}-h{number}"

    def _add_host(self, number: int) -> None:
        host, port = self._host(number), f"port{number}"
        _ip("netns", "add", host)
        _ip("-n", self._bridge, "link", "add", port, "type", "veth", "peer", "name", "wire", "netns", host)
        _ip("-n", self._bridge, "link", "set", port, "master", "bridge", "up")
        _ip("-n", host, "address", "add", f"{host_address(number)}/{_PREFIX_BITS}", "dev", "wire")
        _ip("-n", host, "link", "set", "wire", "up")
        _ip("-n", host, "link", "set", "lo", "up")
        _ip("-n", host, "route", "change", f"{_SUBNET}.0/{_PREFIX_BITS}", "dev", "wire", "congctl", "cubic")


def _remove_left_behind() -> None:
    for line in _ip("netns", "list").splitlines():
        match = _LEFT_BEHIND.match(line)
        if match is not None and not _is_running(int(match[1])):
            for pid in _ip("netns", "pids", match[0]).split():
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _ip("netns", "delete", match[0])


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _ip(*words: str) -> str:
    return _run("ip", *words)


def _run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise NoNamespaces(f"{' '.join(words)}: {done.stderr.strip()}")
    return done.stdout


def sent_bytes(pid: int) -> int:
    """What the host of this process has sent over its link so far, headers included."""
    with open(f"/proc/{pid}/net/dev") as devices:
        for line in devices:
            name, _, counts = line.strip().partition(":")
            if name == "wire":
                return int(counts.split()[8])
    raise ValueError(f"process {pid} is on no host of ours")
