"""Real swarms: clients in network namespaces with shaped links, and libtorrent over the same links. Needs root.

One origin, N leechers that begin at once, every host with so many Mbit/s up and down, TCP with cubic; Shoal sealed,
from the command to the synced and named file, and libtorrent by turns. Each of Shoal's clients is the Python API with
one worker, where the program takes one a core: the cores of this machine carry the whole swarm. The bound is size /
goodput · (1 + log2(N + 1) / pieces): nobody can have the last piece before the origin has sent everything once and it
has doubled through the swarm; goodput is that of one plain TCP stream over such a link. Between two courses the origin
is left alone until it counts anew what it sends. Then, Shoal alone: one leecher at a tenth of the rate; an origin that
is killed when every piece is out once; a seeder that goes silent while the last pieces are under way.
Not for: what a swarm of hundreds does; that is simulated.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from bench.record import curves
from bench.record.report import Figure, Section, cell
from bench.swarms.contestants import is_libtorrent_here
from bench.swarms.course import Course
from bench.swarms.trial import SILENT_FROM, Shape, Trial, try_out
from tests.testkit.namespaces import NoNamespaces, check_possible

_HEADER = [
    "run", "who", "slowest, s", "fastest, s", "bound, s", "slowest / bound", "cores: the swarm, %", "cores: all, %",
    "wasted, %",
]  # fmt: skip
_DEADLINE_S = 1.0
_BUSY = 90.0
"""Percent of all cores from which on clients wait for each other, not for their links alone."""


SHAPES = (Shape(8, 100.0, 128, 1.12, with_faults=True), Shape(16, 50.0, 64, 1.15))
QUICK_SHAPES = (Shape(4, 100.0, 32, 1.12, with_faults=True), Shape(6, 50.0, 16, 1.15))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small swarms, to see that it works")
    parser.add_argument("--folder", type=Path, help="where the files are put (default: the folder for temporary files)")


def measure(options: argparse.Namespace) -> Section:
    shapes = QUICK_SHAPES if options.quick else SHAPES
    trials: list[Trial] = []
    try:
        check_possible()
        for shape in shapes:
            trials.append(try_out(shape, options.rounds, options.folder))
        why = ""
    except NoNamespaces as error:
        why = str(error)
        print(f"swarm: not measured: {why}", file=sys.stderr)
    if not is_libtorrent_here():
        why = why or "libtorrent is not installed: pip install libtorrent"
    by_shape = {trial.shape: trial for trial in trials}
    figures = [figure for shape in shapes for figure in _figures(shape, by_shape.get(shape), why)]
    return Section(
        "swarm",
        "Swarms over real links",
        __doc__.split("\n\n", 1)[1].replace("\n", " ").strip(),
        _HEADER,
        [row for trial in trials for row in _rows(trial)],
        figures,
        [f"not measured: {why}"] if why else [],
        {trial.shape.title: _as_json(trial) for trial in trials},
        _pictures(trials),
    )


def _rows(trial: Trial) -> list[list[str]]:
    runs = [("", "Shoal", trial.shoal), ("", "libtorrent", trial.torrent), (", one at a tenth", "Shoal", trial.slow)]
    runs += [(", origin killed", "Shoal", [trial.orphaned])] if trial.orphaned is not None else []
    runs += [(", 1 seeder of many silent", "Shoal", [trial.silent])] if trial.silent is not None else []
    return [
        [
            trial.shape.title + what, who, cell(course.slowest_s), cell(min(course.seconds.values())),
            cell(trial.bound_s), cell(course.slowest_s / trial.bound_s), cell(100 * course.cpu_share),
            cell(100 * course.busy_share), cell(100 * course.wasted_share),
        ]
        for what, who, courses in runs for course in courses
    ]  # fmt: skip


def _figures(shape: Shape, trial: Trial | None, why: str) -> list[Figure]:
    title = shape.title
    if trial is None:
        return [Figure(f"{title}: slowest / bound", shape.goal, None, "×", "at most", why)]
    uploaded = statistics.median(
        course.uploaded_when_out() * trial.goodput.payload_share / course.size_bytes for course in trial.shoal
    )
    figures = [
        Figure(f"{title}: slowest / bound", shape.goal, trial.ratio(trial.shoal), "×", "at most",
               f"median of {len(trial.shoal)}; {_load(trial.shoal)}"),
        Figure(f"{title}: libtorrent", None, trial.ratio(trial.torrent), "×", "at most", why),
        Figure(f"{title}: origin's upload until every piece is out", 1.03, uploaded, "× size", "at most",
               "bytes over its link, headers taken off as for the plain stream"),
        Figure(f"{title}: wasted bytes, in the worst run", 0.5,
               100 * max(course.wasted_share for course in trial.all_of_shoal), "%", "at most"),
    ]  # fmt: skip
    return figures + (_fault_figures(trial) if shape.with_faults else [])


def _load(courses: Sequence[Course]) -> str:
    """Whether the machine was a limit beside the links."""
    busy, own = (
        statistics.median(100 * share for share in shares)
        for shares in ([course.busy_share for course in courses], [course.cpu_share for course in courses])
    )
    limit = ": clients waited for cores too" if busy > _BUSY else ""
    return f"cores {busy:.0f} % busy, {own:.0f} % with the swarm{limit}"


def _fault_figures(trial: Trial) -> list[Figure]:
    title, orphaned, silent = trial.shape.title, trial.orphaned, trial.silent
    assert orphaned is not None
    assert silent is not None
    host, slow_host = next(iter(silent.curves)), max(trial.shoal[0].curves)
    share_s = silent.seconds[host] / 100
    tail_s = silent.seconds[host] - silent.reached_s(host, 0.99)
    alike, beside = (
        statistics.median(max(s for h, s in course.seconds.items() if h != slow_host) for course in courses)
        for courses in (trial.shoal, trial.slow)
    )
    return [
        Figure(f"{title}, one at a tenth of it: the others' slowest, longer by", 5.0, 100 * (beside / alike - 1), "%",
               "at most", f"medians of {len(trial.slow)}"),
        Figure(f"{title}, origin killed when every piece is out: who finishes", float(trial.shape.leechers),
               float(len(orphaned.seconds)), "leechers", "at least"),
        Figure(f"{trial.shape.leechers - 1} → 1, one falls silent at {SILENT_FROM:.0%}: from 99 % to the end",
               3 * share_s + _DEADLINE_S, tail_s, "s", "at most", "three times its share and a deadline of 1 s"),
    ]  # fmt: skip


def _pictures(trials: Sequence[Trial]) -> dict[str, str]:
    drawn: dict[str, str] = {}
    for trial in trials if find_spec("matplotlib") is not None else ():
        sides = {"Shoal, sealed": [*trial.shoal[0].curves.values()]}
        if trial.torrent:
            sides["libtorrent"] = [*trial.torrent[0].curves.values()]
        name = f"swarm_{trial.shape.leechers}.svg"
        drawn[name] = curves.side_by_side(sides, trial.bound_s, trial.shape.title)
    return drawn


def _as_json(trial: Trial) -> dict[str, object]:
    return {
        "goodput_bytes_per_s": trial.goodput.bytes_per_s,
        "bound_s": trial.bound_s,
        "shoal": [course.as_json() for course in trial.all_of_shoal],
        "libtorrent": [course.as_json() for course in trial.torrent],
    }
