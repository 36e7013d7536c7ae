"""Several programs move the same file in turn, A B C A B C …, after one round of warm-up.

Before every fetch the destination's memory is warmed (measure.warm_memory), afterwards the output is deleted. In the
warm-up round the copy is compared with the source byte by byte, and peak memory is watched. Contestants stay started
but idle while others run. Neighbours are compared: the ratio of two contestants in one round, and its median over the
rounds.

Every fetch has two times. The first ends when the program says that the file is there; Shoal has synced it by then, the
others have not. The second ends when the file is on the disk: an fsync of the copy right after the fetch is added, for
every contestant alike. What a program takes to end in between is not counted, though the kernel may write meanwhile.

Not for: absolute figures of a busy machine; there only the ratios mean something.
"""

import filecmp
import os
import shutil
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from bench.record.report import cell
from tests.testkit.measure import GB, MIB, cpu_seconds, median_ratio, warm_memory, watching

HEADER = [
    "contestant", "GB/s (median)", "min–max", "GB/s, on disk", "receiver CPU s/GB", "sender CPU s/GB",
    "receiver peak USS, MiB",
]  # fmt: skip
TWO_TIMES = (
    "GB/s counts until the program says that it has the file; GB/s, on disk, until an fsync of the copy, made right "
    "after, has returned as well. Shoal has synced when it says so; the others have not."
)


class Missing(Exception):
    """This contestant cannot run here; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One fetch. CPU is None where nothing was measured, `sync_s` where there is no file; it is not in `seconds`."""

    seconds: float
    receiver_cpu_s: float | None = None
    sender_cpu_s: float | None = None
    peak_uss_bytes: int | None = None
    sync_s: float | None = None


class Contestant(Protocol):
    """One way to move a file. `settings` says in words how it was set up; both ends run on this machine."""

    name: str
    settings: str
    has_output: bool

    def start(self, source: Path, folder: Path) -> None:
        """Make everything ready to fetch `source`; the folder is this contestant's own. Raises Missing."""

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        """Fetch the file whole into the folder `target`, under the source's name."""

    def close(self) -> None:
        """End every process."""


@dataclass(slots=True)
class Entry:
    """A contestant's results."""

    name: str
    settings: str
    size_bytes: int
    transfers: list[Transfer] = field(default_factory=list)
    peak_uss_bytes: int | None = None

    @property
    def rates(self) -> list[float]:
        """GB/s, one a round."""
        return [self.size_bytes / GB / each.seconds for each in self.transfers]

    @property
    def durable_rates(self) -> list[float]:
        """The same until the file is on the disk; empty if there is no file."""
        synced = [(each.seconds, each.sync_s) for each in self.transfers]
        return [self.size_bytes / GB / (fetch_s + sync_s) for fetch_s, sync_s in synced if sync_s is not None]

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def durable_rate(self) -> float | None:
        return statistics.median(self.durable_rates) if self.durable_rates else None

    def cpu_per_gb(self, side: str) -> float | None:
        """`side`: receiver or sender."""
        values = [getattr(each, f"{side}_cpu_s") for each in self.transfers]
        return None if None in values else statistics.median(values) / (self.size_bytes / GB)

    def row(self) -> list[str]:
        peak = None if self.peak_uss_bytes is None else self.peak_uss_bytes / MIB
        spread = f"{cell(min(self.rates))}–{cell(max(self.rates))}"
        cpu = [cell(self.cpu_per_gb("receiver")), cell(self.cpu_per_gb("sender"))]
        return [self.name, cell(self.rate), spread, cell(self.durable_rate), *cpu, cell(peak)]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "rates_gb_per_s": self.rates, "durable_rates_gb_per_s": self.durable_rates}


@dataclass(slots=True)
class Outcome:
    """`entries` by name, in the order they ran; `missing`: which contestants could not run, and why."""

    entries: dict[str, Entry] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def ratio(self, one: str, other: str) -> float | None:
        """Median of the ratios of rates; None if one of the two did not run."""
        if one not in self.entries or other not in self.entries:
            return None
        return median_ratio(self.entries[one].rates, self.entries[other].rates)

    def durable_ratio(self, one: str, other: str) -> float | None:
        """The same until the file is on the disk; None also if one of the two makes no file."""
        if one not in self.entries or other not in self.entries:
            return None
        rates = self.entries[one].durable_rates, self.entries[other].durable_rates
        return median_ratio(*rates) if all(rates) else None

    def rows(self) -> list[list[str]]:
        return [entry.row() for entry in self.entries.values()]

    def notes(self) -> list[str]:
        """How each contestant was set up, and which are missing."""
        said = [f"{entry.name}: {entry.settings}" for entry in self.entries.values() if entry.settings]
        return said + [f"{name}: not here ({reason})" for name, reason in self.missing.items()]

    def as_json(self) -> dict[str, Any]:
        return {"entries": {name: entry.as_json() for name, entry in self.entries.items()}, "missing": self.missing}


def run_contest(contestants: Sequence[Contestant], source: Path, folder: Path, rounds: int) -> Outcome:
    """Every contestant fetches `source` in turn. One that cannot run is left out and named in `missing`."""
    outcome, size_bytes = Outcome(), source.stat().st_size
    with ExitStack() as stack:
        running: list[Contestant] = []
        for contestant in contestants:
            stack.callback(contestant.close)
            own = folder / f"contestant-{len(running)}-{len(outcome.missing)}"
            own.mkdir()
            try:
                contestant.start(source, own)
            except Missing as error:
                outcome.missing[contestant.name] = str(error)
                continue
            running.append(contestant)
            outcome.entries[contestant.name] = Entry(contestant.name, contestant.settings, size_bytes)
        for number in range(rounds + 1):
            for contestant in running:
                transfer = _fetch_once(contestant, source, folder / "out", is_warm_up=number == 0)
                entry = outcome.entries[contestant.name]
                if number == 0:
                    entry.peak_uss_bytes = transfer.peak_uss_bytes
                else:
                    entry.transfers.append(transfer)
                _say(contestant.name, number, size_bytes, transfer)
    return outcome


def _fetch_once(contestant: Contestant, source: Path, target: Path, is_warm_up: bool) -> Transfer:
    target.mkdir()
    try:
        warm_memory(target, source.stat().st_size)
        transfer = contestant.fetch(target, is_watched=is_warm_up)
        if contestant.has_output:
            copy = target / source.name
            transfer = replace(transfer, sync_s=_sync(copy))
            if copy.stat().st_size != source.stat().st_size:
                raise AssertionError(f"{contestant.name}: the copy has another size than the source")
            if is_warm_up and not filecmp.cmp(source, copy, shallow=False):
                raise AssertionError(f"{contestant.name}: the copy differs from the source")
        return transfer
    finally:
        shutil.rmtree(target)


def _sync(copy: Path) -> float:
    """Seconds until the file is on the disk."""
    descriptor = os.open(copy, os.O_RDWR)
    try:
        started_s = time.perf_counter()
        os.fsync(descriptor)
        return time.perf_counter() - started_s
    finally:
        os.close(descriptor)


def timed_fetch(
    fetch: Callable[[], object], receiver_pid: int, sender_pids: Sequence[int], is_watched: bool
) -> Transfer:
    """A fetch by processes that exist before and after it."""
    receiver, sender = cpu_seconds([receiver_pid]), cpu_seconds(sender_pids)
    with watching(receiver_pid, is_watched) as memory:
        started_s = time.perf_counter()
        fetch()
        seconds = time.perf_counter() - started_s
    return Transfer(
        seconds,
        cpu_seconds([receiver_pid]) - receiver,
        cpu_seconds(sender_pids) - sender,
        memory.peak_bytes if memory is not None else None,
    )


def _say(name: str, number: int, size_bytes: int, transfer: Transfer) -> None:
    label = f"round {number}" if number else "warm-up"
    print(f"  {label:8} {name:36} {size_bytes / GB / transfer.seconds:6.3f} GB/s", file=sys.stderr, flush=True)
