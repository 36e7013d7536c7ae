"""One attacker in a process of its own, which floods a tracker or a peer.

`python -m tests.testkit.floods.attacker KIND TRACKER_PORT PEER_PORT PORT SHARE SECONDS` prints "ready" when the flood
has begun, and ends after SECONDS or when its input ends. It comes from other addresses (127.0.1.x) than honest clients,
as an attacker elsewhere would. Its rates are bounded, so that it floods its victims and not the machine they share.
"""

import contextlib
import functools
import itertools
import os
import resource
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.wire.messages import Open, Request
from tests.testkit.floods.storm import Manners, Storm, client_hello
from tests.testkit.processes import LOOPBACK
from tests.testkit.raw_member import RawLink, RawMember, RawTracker
from tracker.protocol import framing, manifests
from tracker.protocol import requests as protocol_requests
from tracker.protocol.addresses import TrackerAddress

MEMBER, PASSWORD, GROUP, FILE = "mallory", "bench-password", "sealed1", "file.bin"
"""The account of the floods that need one: a member of the group, with no client."""
SOURCES = [f"127.0.1.{number}" for number in range(1, 26)]
_RESTED_SOURCE = "127.0.1.26"
"""No flood came from here: the others may still be held off for the last one."""
_NO_GREETING = b"\x01\0\0\0\xff\xff\xff\xff" + bytes(64)
"""Of an open link: it claims four gigabytes."""
_PIPELINED = 16
_TURN_S = 0.01
_FULL_AFTER_S = 3.0
_ESTABLISHED = 1


@dataclass(frozen=True, slots=True)
class Target:
    tracker: TrackerAddress
    peer_port: int
    port: int
    """Of these two the one that is flooded."""
    share: float
    """Of a core, for a bystander."""
    seconds: float
    ready: Callable[[], None]

    def storm(self, source_count: int, manners: Manners) -> None:
        Storm((LOOPBACK, self.port), SOURCES[:source_count], manners).run(self.seconds, self.ready)


def silent(target: Target) -> None:
    """5 000 connections that never speak, 500 a second"""
    target.storm(25, Manners(keep=5000, rate=500))


def dripping(target: Target) -> None:
    """1 000 connections that begin a handshake a byte a second"""
    target.storm(25, Manners(keep=1000, rate=500, drip=client_hello()))


def handshakes(target: Target) -> None:
    """1 000 handshakes begun a second, and left when they are answered"""
    target.storm(1, Manners(keep=200, rate=1000, first=client_hello(), leaves=True))


def greetings(target: Target) -> None:
    """1 000 greetings a second that claim four gigabytes"""
    target.storm(1, Manners(keep=200, rate=1000, first=_NO_GREETING, leaves=True))


def frames(target: Target) -> None:
    """50 connections a second that send a frame that is too long, or none"""

    def once(source: str, number: int) -> None:
        link = RawTracker(target.tracker, source)
        try:
            link.socket.sendall((b"\xff" * 4 if number % 2 else b"\0\0\0\x09") + b"\xc1" * 9)
            link.receive()
        finally:
            link.close()

    _in_threads(target, 4, 50, lambda _: once)


def passwords(target: Target) -> None:
    """200 logins a second with wrong passwords, from 8 addresses"""

    def guesser(source: str) -> Callable[[str, int], None]:
        guess = RawMember(target.tracker, "leecher", source)

        def once(source: str, number: int) -> None:
            guess.tracker.ask(guess.login_request(f"wrong {number}"))

        return once

    _in_threads(target, 8, 200, guesser)


def requests(target: Target) -> None:
    """2 000 requests a second of a member, 16 at a time"""

    def asker(source: str) -> Callable[[str, int], None]:
        member = RawMember(target.tracker, MEMBER, source)
        member.enter(PASSWORD, is_new=False)
        asked: tuple[protocol_requests.Request, ...]
        asked = (protocol_requests.ListFiles(GROUP), manifests.FetchManifest(GROUP, FILE))
        calls = [protocol_requests.Call(1, secrets.token_bytes(16), asked[turn % 2]) for turn in range(_PIPELINED)]
        data = b"".join(map(framing.encode_frame, calls))

        def once(source: str, number: int) -> None:
            member.tracker.socket.sendall(data)
            for _ in range(_PIPELINED):
                member.tracker.receive()

        return once

    _in_threads(target, 4, 2000 / _PIPELINED, asker)


def unread(target: Target) -> None:
    """64 links of a member who asked for everything and never reads"""
    # Until the buffers between are full it gets bytes like any account, and any account's share of the upload slots.
    member = RawMember(target.tracker, MEMBER, _RESTED_SOURCE)
    member.enter(PASSWORD, is_new=False)
    manifest = member.tracker.ask(manifests.FetchManifest(GROUP, FILE))
    assert isinstance(manifest, manifests.Manifest)
    pieces, ticket = len(manifest.leaves) // 32, member.ticket(GROUP)
    links: list[RawLink] = []
    until_s, is_ready = time.monotonic() + target.seconds, False
    while time.monotonic() < until_s:
        links = [link for link in links if _is_up(link)]
        while len(links) < 64:
            link = RawLink(member.identity, LOOPBACK, target.peer_port, source=_RESTED_SOURCE)
            links.append(link)
            link.send(Open(1, GROUP, manifest.root, ticket))
            for number in range(128):
                link.send(Request(number, 1, 0, 0, tuple((number + more) % pieces for more in range(8))))
        if not is_ready:
            is_ready = True
            time.sleep(_FULL_AFTER_S)
            target.ready()
        time.sleep(0.1)


def bystander(target: Target) -> None:
    """no attacker: takes as much of a core as the attacker did"""
    target.ready()
    until_s = time.monotonic() + target.seconds
    while time.monotonic() < until_s:
        busy_until_s = time.monotonic() + _TURN_S * target.share
        while time.monotonic() < busy_until_s:
            pass
        time.sleep(_TURN_S * (1 - target.share))


KINDS = {
    each.__name__: each
    for each in (silent, dripping, handshakes, greetings, frames, passwords, requests, unread, bystander)
}


def _is_up(link: RawLink) -> bool:
    if link.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED:
        return True
    link.close()
    return False


def _in_threads(target: Target, count: int, rate: float, begin: Callable[[str], Callable[[str, int], None]]) -> None:
    """So many threads, which together do it so often a second, or as often as they are answered; again after an end."""
    numbers, pace_s = itertools.count(), count / rate

    def work(source: str) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError, AssertionError):
                once = begin(source)
                while True:
                    began_s = time.monotonic()
                    once(source, next(numbers))
                    time.sleep(max(0.0, pace_s - (time.monotonic() - began_s)))
            time.sleep(pace_s)

    for source in SOURCES[:count]:
        threading.Thread(target=work, args=[source], daemon=True).start()
    time.sleep(1)
    target.ready()
    time.sleep(target.seconds)


def main() -> None:
    kind, *ports, share, seconds = sys.argv[1:]
    tracker_port, peer_port, port = map(int, ports)
    signal.alarm(int(seconds) + 5)  # whatever happens
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    threading.Thread(target=_end_with_input, daemon=True).start()
    address = TrackerAddress(LOOPBACK, tracker_port)
    ready = functools.partial(print, "ready", flush=True)
    KINDS[kind](Target(address, peer_port, port, float(share), float(seconds), ready))


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
