"""A thousand small files in one group: files a second when shared one by one, through a pipe, and fetched by the API.

The leecher is an engine.Client in a process of its own (bench.transfers.api_leecher), which has a bounded number of
downloads under way at a time; the seeder is the program (`cli.py --json`, its defaults). Every file is verified,
synced, named and announced. Not for: large files.
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench.record.report import Figure, Section, cell
from bench.transfers.api_leecher import ApiLeecher
from tests.testkit.measure import cpu_seconds, write_random
from tests.testkit.processes import ShellProcess
from tests.testkit.swarm import PASSWORD, Swarm

_COMMANDS_AHEAD = 100
"""Few enough to fit into the pipes, so that neither side waits for the other to read."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--kib", type=int, default=64)
    parser.add_argument("--at-a-time", type=int, default=32, metavar="N", help="downloads under way at a time")
    parser.add_argument("--folder", type=Path)


def measure(options: argparse.Namespace) -> Section:
    with tempfile.TemporaryDirectory(prefix="shoal-bench-", dir=options.folder) as name:
        folder = Path(name)
        names = [f"file{number:05}.bin" for number in range(options.files)]
        (folder / "source").mkdir()
        swarm = Swarm(folder, 1)
        try:
            swarm.make_group("lab", "sealed", 1)
            uploads_s = []
            for file_name in names:
                path = write_random(folder / "source" / file_name, options.kib << 10)
                uploads_s.append(swarm.share(path, "lab", 1)[0]["seconds"])
            (folder / "out").mkdir()
            leecher = ApiLeecher(swarm.tracker_info, swarm.leave_leecher(), "leecher", PASSWORD)
            seeder = swarm.seeders[0].process.pid
            before_s = cpu_seconds([seeder])
            report = leecher.fetch("lab", names, folder / "out", options.at_a_time)
            seeder_cpu_s = cpu_seconds([seeder]) - before_s
            leecher.close()
            piped_s = _share_piped(swarm.seeders[0], folder / "piped", options.files, options.kib << 10)
        finally:
            swarm.close()
        for file_name in names:
            if (folder / "source" / file_name).read_bytes() != (folder / "out" / file_name).read_bytes():
                raise AssertionError(f"{file_name} differs from its source")
    rate = options.files / report["seconds"]
    rows = [
        ["shared a second, each command given after the answer to the last", cell(options.files / sum(uploads_s))],
        ["shared a second, commands given through a pipe", cell(options.files / piped_s)],
        [f"fetched a second, {options.at_a_time} at a time", cell(rate)],
        ["leecher CPU, ms a file", cell(report["cpu_s"] / options.files * 1e3)],
        ["seeder CPU, ms a file", cell(seeder_cpu_s / options.files * 1e3)],
    ]
    return Section(
        "small",
        f"{options.files} files of {options.kib} KiB",
        "One seeder (the program) → one leecher (the API with its defaults), sealed, one group; from the first "
        "download_file to the last completion.",
        ["what", "value"],
        rows,
        [Figure(f"{options.files} files of {options.kib} KiB through the API", 300.0, rate, "files/s", "at least")],
        data={**report, "uploads_s": uploads_s, "piped_s": piped_s, "seeder_cpu_s": seeder_cpu_s},
    )


def _share_piped(seeder: ShellProcess, folder: Path, count: int, size_bytes: int) -> float:
    """Seconds for that many other files, each command written before the ones before it are answered."""
    folder.mkdir()
    paths = [write_random(folder / f"piped{number:05}.bin", size_bytes) for number in range(count)]
    started_s = time.monotonic()
    for position, path in enumerate(paths):
        seeder.send(f"upload_file '{path}' lab")
        if position >= _COMMANDS_AHEAD:
            _expect_ok(seeder)
    for _ in paths[-_COMMANDS_AHEAD:]:
        _expect_ok(seeder)
    return time.monotonic() - started_s


def _expect_ok(seeder: ShellProcess) -> None:
    answer = seeder.result()
    if not answer["ok"]:
        raise AssertionError(answer)
