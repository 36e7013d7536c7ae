"""The README's figures: the lines between two marks, written from the results alone.

A goal that is missed stands there as well. Not for: judging the figures.
"""

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.record.report import Figure, Section, cell, table

BEGIN = "<!-- measured: from here to the end mark written by make bench -->"
END = "<!-- measured: end -->"
_HEADER = ["4 → 1", "GB/s", "GB/s, on disk", "against libtorrent", "both on disk", "goal"]
_FIGURES = {
    "ceiling": ("sealed", "open"),
    "single": ("sealed: leecher CPU", "open: leecher CPU"),
    "memory": ("sealed: peak", "open: peak"),
    "distance": ("sealed", "open"),
    "swarm": ("1 → 8, 100 Mbit/s each, 128 MiB: slowest",),
    "simulate": ("1 → 1000",),
}
"""Beside the table: run → how the names of its figures begin."""


def rewrite(readme: Path, lines: str) -> None:
    """Replace what stands between the marks. Raises ValueError if they are not there."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"{readme.name} has no marks for the measured figures")
    readme.write_text(f"{before}{BEGIN}\n{lines}\n{END}{after}")


def text(sections: Sequence[Section], machine: dict[str, Any]) -> str:
    """Markdown: the headline table, other goals in a list, the picture."""
    compare = next((section for section in sections if section.name == "compare"), None)
    where = f"Measured on {machine['cores']} cores ({machine['processor']}) that both ends share, over loopback"
    parts = [f"{where}, each goal beside its figure:"]
    if compare is not None:
        parts.append(table(_HEADER, [_row(compare, channel) for channel in ("sealed", "open")]))
    parts.append("\n".join(_lines(sections)))
    parts.append("![Throughput of Shoal and of others](bench/throughput.svg)")
    return "\n\n".join(part for part in parts if part)


def _row(compare: Section, channel: str) -> list[str]:
    entries: dict[str, dict[str, Any]] = compare.data["entries"]
    entry = next((each for name, each in entries.items() if name.startswith(f"Shoal {channel}")), {})
    ratios = [figure for figure in compare.figures if figure.name.startswith(f"{channel}, ")]
    rates = [_median(entry.get(key, [])) for key in ("rates_gb_per_s", "durable_rates_gb_per_s")]
    headline = next(figure for figure in ratios if figure.goal is not None)
    on_disk = next((figure.row()[2] for figure in ratios if figure.goal is None), "–")
    return [channel, *rates, headline.row()[2], on_disk, headline.row()[1]]


def _median(rates: Sequence[float]) -> str:
    return cell(statistics.median(rates) if rates else None)


def _lines(sections: Sequence[Section]) -> list[str]:
    figures: dict[tuple[str, str], Figure] = {}
    for section in sections:
        for figure in section.figures:
            if figure.goal is not None:
                figures.setdefault((section.name, figure.name), figure)
    reached = sum(figure.verdict == "reached" for figure in figures.values())
    lines = [
        f"- {run}: {name}: {figure.row()[2]} (goal {figure.row()[1]})"
        for (run, name), figure in figures.items()
        if name.startswith(_FIGURES.get(run, ()))
    ]
    return [*lines, f"- of {len(figures)} figures with a goal, {reached} reach it"]
