"""Peak private memory (USS) of a whole client tree while it fetches a small file and a large one.

A fresh leecher for each, watched every 50 ms from the command to the result; sealed and open. The page cache is not
private memory. Not for: throughput; watching costs time.
"""

import argparse
import tempfile
from pathlib import Path

from bench.contest import Missing
from bench.record.report import Figure, Section, cell
from tests.testkit.measure import MIB, PeakMemory, private_bytes, write_random
from tests.testkit.swarm import CHANNELS, Swarm

_SMALL_MIB = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int, default=4, metavar="GIB", help="of the large file")
    parser.add_argument("--folder", type=Path)


def measure(options: argparse.Namespace) -> Section:
    sizes = {f"{_SMALL_MIB} MiB": _SMALL_MIB * MIB, f"{options.size} GiB": options.size << 30}
    rows: list[list[str]] = []
    peaks: dict[str, dict[str, int]] = {channel: {} for channel in CHANNELS}
    notes = []
    for title, size_bytes in sizes.items():
        with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name:
            source = write_random(Path(name) / "file.bin", size_bytes)
            for channel in CHANNELS:
                try:
                    idle, peak = _peak_of(source, Path(name), channel)
                except Missing as error:
                    notes.append(str(error))
                    continue
                peaks[channel][title] = peak
                rows.append([channel, title, cell(idle / MIB), cell(peak / MIB)])
    figures = []
    for channel, by_title in peaks.items():
        values = list(by_title.values())
        largest = max(values) / 1e6 if values else None
        growth = max(values) / min(values) - 1 if values else None
        figures.append(Figure(f"{channel}: peak private memory of a client", 250.0, largest, "MB", "at most"))
        note = f"{_SMALL_MIB} MiB against {options.size} GiB"
        figures.append(Figure(f"{channel}: difference", 15.0, growth and growth * 100, "%", "at most", note))
    return Section(
        "memory",
        "Memory of a client",
        "USS of the whole tree of a leecher's processes (client, fork server, workers).",
        ["channel", "file", "logged in, idle, MiB", "peak, MiB"],
        rows,
        figures,
        notes,
        {"peak_bytes": peaks},
    )


def _peak_of(source: Path, folder: Path, channel: str) -> tuple[int, int]:
    own = folder / channel
    out = own / "out"
    out.mkdir(parents=True)
    swarm = Swarm(own, 1)
    try:
        swarm.make_group("lab", channel, 1)
        swarm.share(source, "lab", 1)
        pid = swarm.leecher.process.pid
        idle = private_bytes(pid)
        with PeakMemory(pid) as memory:
            swarm.download(f"download_file lab {source.name} '{out}'")
        return idle, memory.peak_bytes
    finally:
        swarm.close()
        (out / source.name).unlink(missing_ok=True)
