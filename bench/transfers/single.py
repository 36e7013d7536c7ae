"""Several seeders → one leecher through the program itself, whole downloads; and one seeder → one leecher beside it.

Not for: comparing with other programs (compare) or with what is possible (ceiling).
"""

import argparse
import tempfile
from pathlib import Path

from bench.contest import HEADER, Contestant, run_contest
from bench.record.report import Figure, Section
from bench.transfers.shoal import Shoal, SwarmHolder, shoal_name
from tests.testkit.measure import MIB, write_random
from tests.testkit.swarm import CHANNELS

_CPU_GOALS = {"open": 0.6, "sealed": 1.0}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeders", type=int, default=4)
    parser.add_argument("--channel", choices=[*CHANNELS, "both"], default="both")
    add_size_arguments(parser)


def add_size_arguments(parser: argparse.ArgumentParser, size_mib: int = 2048) -> None:
    """What every contest takes."""
    parser.add_argument("--size", type=int, default=size_mib, metavar="MIB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the files are put (default: the folder for temporary files)")


def measure(options: argparse.Namespace) -> Section:
    channels = CHANNELS if options.channel == "both" else (options.channel,)
    counts = sorted({1, options.seeders}, reverse=True)
    holder = SwarmHolder(options.seeders)
    contestants: list[Contestant] = [Shoal(holder, channel, count) for channel in channels for count in counts]
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name:
        source = write_random(Path(name) / "file.bin", options.size * MIB)
        outcome = run_contest(contestants, source, Path(name), options.rounds)
    section = Section(
        "single",
        f"One file of {options.size} MiB, {options.seeders} seeders → 1 leecher",
        "Every process is a whole client (`cli.py --json`), on loopback; from the command to the result.",
        HEADER,
        outcome.rows(),
        notes=outcome.notes(),
        data=outcome.as_json(),
    )
    for channel in channels:
        many, one = shoal_name(channel, options.seeders), shoal_name(channel, 1)
        ratio = outcome.ratio(one, many) if options.seeders > 1 else None
        entry = outcome.entries.get(many)
        cpu = entry.cpu_per_gb("receiver") if entry is not None else None
        title = f"{channel}: 1 seeder → 1 against {options.seeders} → 1"
        section.figures += [
            Figure(title, 0.9, ratio, "×", "at least"),
            Figure(f"{channel}: leecher CPU", _CPU_GOALS[channel], cpu, "s/GB", "at most"),
        ]
    return section
