"""Three pictures of swarms, as SVG text: the progress of each leecher, the same beside another program's, and how near
the slowest leecher comes to the bound.

They need matplotlib, which is in the bench extra; without it ModuleNotFoundError is raised. Not for: the throughput of
one file (plot).
"""

import io
from collections.abc import Mapping, Sequence
from typing import Any

_LINES_MAX = 60
_POINTS_MAX = 100
_MIB = 1 << 20
_OURS, _SLOWEST, _GOAL = "#0b7285", "#c92a2a", "#868e96"


def completion(leechers: Sequence[tuple[Sequence[float], float]], title: str) -> str:
    """For each leecher when it had each piece, in seconds, and its bound. Of very many a part is drawn."""
    figure, axes = _axes()
    ordered = sorted(leechers, key=lambda each: each[0][-1] / each[1])
    for times_s, bound_s in ordered[:: -(-len(ordered) // _LINES_MAX)]:
        _curve(axes, times_s, bound_s, _OURS, 0.35)
    _curve(axes, *ordered[-1], _SLOWEST, 1.0)
    axes.axvline(1.0, color=_GOAL, linewidth=0.8, linestyle="--")
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("time / bound; dashed: the bound; red: the slowest leecher")
    axes.set_ylabel("pieces it has, %")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 100)
    return _svg(figure)


def side_by_side(sides: Mapping[str, Sequence[Sequence[tuple[float, int]]]], bound_s: float, title: str) -> str:
    """`sides`: a program's name, Shoal first, to (seconds, bytes) of each of its leechers."""
    figure, axes = _axes()
    for (who, leechers), color in zip(sides.items(), (_OURS, _GOAL), strict=False):
        for number, points in enumerate(leechers):
            axes.plot([at_s for at_s, _ in points], [count / _MIB for _, count in points], color=color, linewidth=0.8,
                      label=None if number else who)  # fmt: skip
    axes.axvline(bound_s, color=_SLOWEST, linewidth=0.8, linestyle="--", label="bound")
    axes.set_title(title, loc="left", fontsize=10)
    axes.set_xlabel("seconds since all began; a line for each leecher")
    axes.set_ylabel("MiB there and verified")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.legend(loc="lower right", fontsize=8, frameon=False)
    return _svg(figure)


def against_bound(leechers: Sequence[int], at_share: Mapping[float, Sequence[float]], goal: float) -> str:
    """Time over bound against the number of leechers, a line for each share of them that was done by then."""
    figure, axes = _axes()
    for share, ratios in at_share.items():
        axes.plot(leechers, ratios, color=_SLOWEST if share == 1.0 else _OURS, alpha=share, marker="o", markersize=4,
                  label=f"p{100 * share:g}")  # fmt: skip
    axes.axhline(goal, color=_GOAL, linewidth=0.8, linestyle="--", label=f"goal {goal:g}")
    axes.set_xscale("log", base=2)
    axes.set_xticks(leechers, [str(each) for each in leechers])
    axes.set_title("Virtual time: how near to the bound", loc="left", fontsize=10)
    axes.set_xlabel("leechers")
    axes.set_ylabel("time / bound")
    axes.set_ylim(bottom=1.0)
    axes.legend(fontsize=8, frameon=False)
    return _svg(figure)


def _curve(axes: Any, times_s: Sequence[float], bound_s: float, color: str, alpha: float) -> None:
    step = -(-len(times_s) // _POINTS_MAX)
    ranks = [*range(0, len(times_s), step), len(times_s) - 1]
    shares = [100 * (rank + 1) / len(times_s) for rank in ranks]
    axes.plot([times_s[rank] / bound_s for rank in ranks], shares, color=color, linewidth=0.8, alpha=alpha)


def _axes() -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "shoal"  # the same figures give the same file
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4), layout="constrained")
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    from matplotlib import pyplot

    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return text.getvalue()
