"""Processes killed at random, and single faults with a clock: what was survived, what was lost, how long it took.

`--kills 500` is a full run (about a quarter of an hour). A seed repeats the same kills, as far as the timing of
processes can be repeated. Not here: power cuts; they are in tests/faults, on a disk that forgets what was not synced.
"""

import argparse
import secrets
import tempfile
from pathlib import Path

from bench.faults import filled_disk, journal_cost, lost_worker, random_kills, resumed, slept
from bench.record.report import Section

_CASES = {
    "kills": random_kills.measure,
    "resume": resumed.measure,
    "worker": lost_worker.measure,
    "disk": filled_disk.measure,
    "sleep": slept.measure,
    "journal": journal_cost.measure,
}
"""The name of a case to what runs it in a folder of its own, and adds what it found to the section."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, help="default: a new one, printed")
    parser.add_argument("--resume-gib", type=float, default=20.0, help="size of the download that is resumed")
    parser.add_argument("--size", type=int, default=2048, metavar="MIB", help="of downloads that are timed")
    parser.add_argument("--rounds", type=int, default=3, help="of downloads with a worker killed and without")
    parser.add_argument("--pairs", type=int, default=20, help="of downloads with journal and without")
    parser.add_argument(
        "--sleep",
        type=float,
        default=40.0,
        metavar="S",
        help="a tracker forgets who is silent for 30 s, a link gives up one that owes it bytes after 10",
    )
    parser.add_argument("--only", choices=[*_CASES], help="one case alone")
    parser.add_argument("--folder", type=Path)


def measure(options: argparse.Namespace) -> Section:
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    is_random = options.only in (None, "kills")
    section = Section(
        "faults",
        f"Faults: {options.kills} processes killed at random, seed {seed}" if is_random else f"Faults: {options.only}",
        "A tracker, two seeders and a leecher, all the program itself, on loopback. Whatever was killed is started "
        "again, as its user would; then the single cases, each in a swarm of its own.",
        ["what", "result"],
        data={"seed": seed},
    )
    for name, case in _CASES.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as folder:
                case(Path(folder), options, seed, section)
    return section
