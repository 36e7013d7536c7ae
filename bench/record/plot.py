"""One picture: the throughput of Shoal and of other programs, as bars, from the runs `compare` and `ceiling`.

Not for: swarms (curves).
"""

import statistics
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bench.record.report import Section

_OURS, _CEILING, _OTHERS = "#0b7285", "#ced4da", "#868e96"
_LEGEND = {
    "Shoal: verified, synced": _OURS,
    "others: not synced": _OTHERS,
    "what the machine can do: no hash": _CEILING,
}


def draw(sections: Sequence[Section], path: Path) -> Path | None:
    """The file, or None if there is nothing to draw or nothing to draw with."""
    chosen = _entries(sections)
    if not chosen or find_spec("matplotlib") is None:
        return None
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "shoal"  # the same figures give the same file
    from matplotlib import pyplot
    from matplotlib.patches import Patch

    chosen.sort(key=lambda entry: _median(entry))
    figure, axes = pyplot.subplots(figsize=(8, 0.4 * len(chosen) + 1), layout="constrained")
    rates = [_median(entry) for entry in chosen]
    low = [rate - min(entry["rates_gb_per_s"]) for rate, entry in zip(rates, chosen, strict=True)]
    high = [max(entry["rates_gb_per_s"]) - rate for rate, entry in zip(rates, chosen, strict=True)]
    bars = axes.barh(
        [entry["name"] for entry in chosen],
        rates,
        xerr=(low, high),
        color=[_color(entry["name"]) for entry in chosen],
        error_kw={"linewidth": 0.8},
    )
    axes.bar_label(bars, [f"{rate:.2f}" for rate in rates], padding=6, fontsize=8)
    axes.set_xlim(left=0)
    axes.set_title("One file over loopback, both ends on this machine", loc="left", fontsize=10)
    axes.set_xlabel("GB/s until the program says it is done: median, and range of the rounds")
    axes.legend(
        handles=[Patch(color=color, label=label) for label, color in _LEGEND.items()],
        loc="lower right",
        fontsize=8,
        frameon=False,
    )
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
    return path


def _entries(sections: Sequence[Section]) -> list[dict[str, Any]]:
    """Every contestant once, from the first run that has it."""
    by_name: dict[str, dict[str, Any]] = {}
    for section in sections:
        if section.name in ("compare", "ceiling"):
            for name, entry in section.data["entries"].items():
                by_name.setdefault(name, entry)
    return list(by_name.values())


def _median(entry: dict[str, Any]) -> float:
    return float(statistics.median(entry["rates_gb_per_s"]))


def _color(name: str) -> str:
    if name.startswith("Shoal"):
        return _OURS
    return _CEILING if name.startswith("plain") else _OTHERS
