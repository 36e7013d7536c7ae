"""The same file through Shoal and through every rival that is installed, in turn.

Rivals run with their best documented settings (the notes below the table, and bench/rivals). One that is not installed
is named as missing. Not for: features; this is throughput and its cost only.
"""

import argparse
import tempfile
from pathlib import Path

from bench.contest import HEADER, TWO_TIMES, Contestant, run_contest
from bench.record.report import Figure, Section
from bench.rivals.aria2 import Aria2Torrent
from bench.rivals.libtorrent import Libtorrent, libtorrent_name
from bench.rivals.qbittorrent import Qbittorrent
from bench.rivals.rsync import Rsync
from bench.rivals.syncthing import Syncthing
from bench.rivals.web import Web
from bench.transfers.shoal import Shoal, SwarmHolder, shoal_name
from bench.transfers.single import add_size_arguments
from tests.testkit.measure import MIB, write_random

_GOALS = {"sealed": 4.0, "open": 7.0}
_LEFT_OUT = (
    "Transmission is not among them: 3.00 takes no peer at a loopback address and one peer an address, and asks a peer "
    "for 512 blocks of 16 KiB at a time and for more once or twice a second: its timer would be measured."
)
"""Tried over this machine's own address, one seeder: 64 MiB took 20-26 s, and its receiving side was idle."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeders", type=int, default=4)
    parser.add_argument("--only", default="", metavar="WORDS", help="rivals with one of these in their names")
    add_size_arguments(parser)


def measure(options: argparse.Namespace) -> Section:
    seeders = options.seeders
    holder = SwarmHolder(seeders)
    rivals: list[Contestant] = [
        Aria2Torrent(seeders), Web("curl", is_tls=False), Web("curl", is_tls=True),
        Web("aria2c", is_tls=False), Rsync(), Qbittorrent(seeders),
        Syncthing(seeders),
    ]  # fmt: skip
    sealed, opened = Shoal(holder, "sealed", seeders), Shoal(holder, "open", seeders)
    contestants: list[Contestant] = [sealed, Libtorrent(seeders), opened, *rivals]
    words = [word for word in options.only.split(",") if word]
    if words:
        contestants = [each for each in contestants if any(word in each.name for word in ("Shoal", *words))]
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name:
        source = write_random(Path(name) / "file.bin", options.size * MIB)
        outcome = run_contest(contestants, source, Path(name), options.rounds)
    section = Section(
        "compare",
        f"Against other programs, {options.size} MiB",
        "Both ends on this machine, over loopback, from a warm page cache. BitTorrent programs and Shoal have "
        f"{seeders} sending clients, the others one server. Shoal syncs the file to the disk, verifies it and "
        f"encrypts (sealed) within its time; what the others do is in the notes. {TWO_TIMES}",
        HEADER,
        outcome.rows(),
        notes=[*outcome.notes(), _LEFT_OUT],
        data=outcome.as_json(),
    )
    for channel, goal in _GOALS.items():
        pair = shoal_name(channel, seeders), libtorrent_name(seeders)
        title = f"{channel}, {seeders} seeders → 1, against tuned libtorrent in plaintext"
        note = outcome.missing.get(libtorrent_name(seeders), outcome.missing.get(shoal_name(channel, seeders), ""))
        section.figures += [
            Figure(title, goal, outcome.ratio(*pair), "×", "at least", note),
            Figure(f"{title}, both until on disk", None, outcome.durable_ratio(*pair), "×", "at least", note),
        ]
    return section
