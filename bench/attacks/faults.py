"""Faults at random from a seed, and single ones with a clock: what was survived, what was lost, how long it took.

`--kills 500` is a full run (about a quarter of an hour). A seed brings the same kills about again, as far as the timing
of processes can be. Power cuts are in tests/faults, on a disk that forgets what was not synced.
"""

import argparse
import secrets
import signal
import statistics
import tempfile
import time
from pathlib import Path

from bench.attacks import fault_cases
from bench.attacks.fault_kills import Battlefield, Survey
from bench.record.report import Figure, Section
from tests.testkit.measure import MIB, confidence_of_median

GIB = 1 << 30
_JOURNAL_MIB = 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, help="default: a new one, printed")
    parser.add_argument("--resume-gib", type=float, default=20.0, help="size of the download that is resumed")
    parser.add_argument("--size", type=int, default=2048, metavar="MIB", help="of downloads that are timed")
    parser.add_argument("--rounds", type=int, default=3, help="of downloads with a worker killed and without")
    parser.add_argument("--pairs", type=int, default=20, help="of downloads with journal and without")
    parser.add_argument(
        "--sleep", type=float, default=40.0, metavar="S",
        help="a tracker forgets who is silent for 30 s, a link gives up one that owes it bytes after 10",
    )  # fmt: skip
    parser.add_argument("--only", choices=[*_CASES], help="one case alone")
    parser.add_argument("--folder", type=Path)


def measure(options: argparse.Namespace) -> Section:
    seed = secrets.randbelow(1 << 32) if options.seed is None else options.seed
    is_war = options.only in (None, "kills")
    section = Section(
        "faults",
        f"Faults: {options.kills} processes killed at random, seed {seed}" if is_war else f"Faults: {options.only}",
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


def _kills(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    field, begun_s = Battlefield(folder, seed), time.monotonic()
    try:
        survey = field.run(options.kills)
    finally:
        field.close()
    kinds = ", ".join(f"{victim} {count}" for victim, count in survey.kills.most_common())
    section.rows += [
        ["killed", f"{survey.kills.total()} in {time.monotonic() - begun_s:.0f} s: {kinds}"],
        ["transfers meanwhile", str(survey.transfers)],
    ]
    section.figures += _survey_figures(survey, seed)
    complaints = {
        "wrong": survey.wrong_files, "lost": survey.lost, "left over": survey.left_over, "stuck": survey.stuck,
    }  # fmt: skip
    section.notes += [f"{kind}: {complaint}" for kind, each in complaints.items() for complaint in each]
    section.data |= {"kills": dict(survey.kills), "fetched_again_bytes": survey.fetched_again_bytes, **complaints}


def _survey_figures(survey: Survey, seed: int) -> list[Figure]:
    note = f"{survey.kills.total()} kills, seed {seed}"
    again = [count / MIB for count in survey.fetched_again_bytes]
    return [
        Figure("wrong files after kill -9", 0, len(survey.wrong_files), "", "at most", note),
        Figure("lost shares, downloads or memberships", 0, len(survey.lost), "", "at most", note),
        Figure("transfers that did not end", 0, len(survey.stuck), "", "at most", f"of {survey.transfers}"),
        Figure("processes or files left over", 0, len(survey.left_over), "", "at most", note),
        Figure(
            "whole pieces fetched again after kill -9 of the client, worst", 2.0, max(again, default=None), "MiB",
            "at most", f"{len(again)} times; 8 pieces are in flight",
        ),
    ]  # fmt: skip


def _resume(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    size_bytes = int(options.resume_gib * GIB)
    case = fault_cases.Resumed(folder, size_bytes)
    try:
        clean = case.measure(signal.SIGTERM, 0.5)
        crash = case.measure(signal.SIGKILL, 0.6)
    finally:
        case.close()
    for kind, found in (("clean stop", clean), ("kill -9", crash)):
        read_again = f"{found['checked_bytes'] / MIB:.0f} MiB read again"
        what = f"first new byte after a {kind} at {options.resume_gib:g} GiB"
        section.rows.append([what, f"{found['first_byte_s']:.2f} s after the login began; {read_again}"])
    title = "to the first new byte of a half-complete download after a clean stop"
    section.figures.append(
        Figure(title, 2.0, clean["first_byte_s"], "s", "at most", f"{options.resume_gib:g} GiB, login included")
    )
    section.figures.append(
        Figure("the same after kill -9", 2.0 + crash["checked_bytes"] / GIB, crash["first_byte_s"], "s", "at most",
               "2 s and a second for each GiB that was not in the journal")
    )  # fmt: skip
    section.data |= {"resume_clean": clean, "resume_crash": crash}


def _worker(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    seconds = fault_cases.lost_worker(folder, options.size * MIB, options.rounds)
    usual, killed = [statistics.median(seconds[kind]) for kind in ("undisturbed", "worker killed")]
    section.figures.append(
        Figure("extra time when a worker is killed, 4 seeders", 1.5, max(0.0, killed - usual), "s", "at most",
               f"{options.size} MiB: {usual:.2f} s undisturbed, {killed:.2f} s, medians of {options.rounds}")
    )  # fmt: skip
    section.data["lost_worker_s"] = seconds


def _disk(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    title = "fetched twice when the disk filled up midway"
    try:
        found = fault_cases.filled_disk(folder, 256 * MIB, 10.0)
    except OSError as error:
        section.figures.append(Figure(title, 2.0, None, "MiB", "at most", str(error)))
        return
    section.rows.append(["a disk that was full", f"“{found['said']}”"])
    again = found["fetched_again_bytes"] / MIB if found["is_complete"] else float("inf")
    note = (
        f"of {found['good_bytes'] / MIB:.0f} MiB that were good when it began to wait; ext2; space came 10 s later, "
        f"complete {found['seconds_after']:.1f} s after that"
    )
    section.figures.append(Figure(title, 2.0, again, "MiB", "at most", note))
    section.data["filled_disk"] = found


def _sleep(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    found = fault_cases.slept(folder, 2 * options.size * MIB, options.sleep)
    for who in ("leecher", "seeder"):
        value = found[f"{who}_s"] if found["is_right"] else float("inf")
        title = f"until bytes come again after the {who} slept"
        note = f"stopped whole for {options.sleep:g} s in the middle of a download; the file was right"
        section.figures.append(Figure(title, None, value, "s", "at most", note))
    section.data["slept"] = found


def _journal(folder: Path, options: argparse.Namespace, seed: int, section: Section) -> None:
    size_mib = min(options.size, _JOURNAL_MIB)  # a second or two: there is a checkpoint each second
    found = fault_cases.journal_cost(folder, size_mib * MIB, options.pairs)
    note = f"{size_mib} MiB, open, 1 → 1, {options.pairs} pairs"
    for what, name, goal in (("seconds", "cost of journal and checkpoints", 5.0), ("cpu_s", "the same in CPU", None)):
        pairs = zip(found["journal"][what], found["no journal"][what], strict=True)
        costs = sorted((on / off - 1) * 100 for on, off in pairs)
        low, high, confidence = confidence_of_median(costs)
        spread = f"{note}; {low:.1f} to {high:.1f} % with {confidence:.0%} confidence"
        section.figures.append(Figure(name, goal, statistics.median(costs), "%", "at most", spread))
    section.data["journal"] = found


_CASES = {
    "kills": _kills, "resume": _resume, "worker": _worker, "disk": _disk, "sleep": _sleep, "journal": _journal,
}  # fmt: skip
