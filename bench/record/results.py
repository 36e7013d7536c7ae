"""The latest results: RESULTS.json keeps the latest section of every run; RESULTS.md and the README are made from it.

Invariant: the Markdown says nothing that is not in the JSON. Not for: measuring, judging.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.plan import RUNS
from bench.record import headline, plot
from bench.record.report import FIGURE_HEADER, Figure, Section, table
from tests.testkit.measure import machine
from tests.testkit.processes import ROOT

FOLDER = ROOT / "bench"

_METHOD = """\
Everything ran on one machine over loopback, sender and receiver sharing its cores. Contestants take turns (A B C A B C
…) after one round of warm-up in which the copies are compared byte by byte and memory is watched; ratios are taken
between neighbours of one round, and their median is shown. CPU seconds are of whole process trees, user and system;
memory is USS, what would be freed if the tree ended. Directly before every fetch, of every contestant alike, a scratch
file of the same size is written into the destination's folder and deleted: memory of a virtual machine is slow (about 1
s/GB) when it is touched for the first time. Clients of Shoal are the program as people start it (`cli.py`, its
defaults, so a worker for each core and two at least), but for these: the leecher of `small`, the far seeder of
`distance` and the two that `faults` compares for the cost of the journal are the Python API with its defaults, and all
clients of `swarm` are the Python API with one worker each. Outputs are deleted after each fetch. A goal that was missed
stays in the table. `python -m bench` lists the single runs and their options; each names the command it was made with,
and `--record` puts a single run's figures in place of its last."""


def record(folder: Path, new: Sequence[Section]) -> list[Section]:
    """Put sections in place of what the same runs said before; returns all there are now. Raises OSError, or ValueError
    on a damaged file.
    """
    kept = folder / "RESULTS.json"
    old = [_section(each) for each in json.loads(kept.read_text())["runs"]] if kept.exists() else []
    sections = sorted([*_not_replaced(old, new), *new], key=lambda each: list(RUNS).index(each.name))
    for section in new:
        for name, drawing in section.pictures.items():
            (folder / name).write_text(drawing)
    box = machine()
    image = plot.draw(sections, folder / "throughput.svg")
    (folder / "RESULTS.md").write_text(_markdown(box, sections, image))
    kept.write_text(json.dumps({"machine": box, "runs": [each.as_json() for each in sections]}, indent=1) + "\n")
    if folder == FOLDER:
        headline.rewrite(ROOT / "README.md", headline.text(sections, box))
    return sections


def _not_replaced(old: Sequence[Section], new: Sequence[Section]) -> list[Section]:
    """The old sections that stay: a new one replaces that of the very same command, or else all of its run."""
    commands = {each.command for each in old} & {each.command for each in new}
    others = {each.name for each in new if each.command not in commands}
    return [each for each in old if each.command not in commands and each.name not in others]


def _section(kept: Mapping[str, Any]) -> Section:
    figures = [Figure(**{key: value for key, value in each.items() if key != "verdict"}) for each in kept["figures"]]
    return Section(**{**kept, "figures": figures, "pictures": dict.fromkeys(kept["pictures"], "")})


def goals(sections: Sequence[Section], broken: Mapping[str, str] | None = None) -> str:
    """Every figure once; where two runs measured the same, the first, larger one counts."""
    rows: dict[str, list[str]] = {}
    for section in sections:
        for figure in section.figures:
            title = f"{section.name}: {figure.name}"
            rows.setdefault(title, [title, *figure.row()[1:]])
    lost = [[name, "", "–", "**broke down**", reason] for name, reason in (broken or {}).items()]
    return table(FIGURE_HEADER, [*rows.values(), *lost])


def _markdown(box: Mapping[str, Any], sections: Sequence[Section], image: Path | None) -> str:
    parts = ["# Measured", "Written by `python -m bench`; not edited.", "## Goals", goals(sections)]
    if image is not None:
        parts.append(f"![Throughput of Shoal and of others]({image.name})")
    parts += ["## Machine and method", _machine_table(box), _METHOD]
    return "\n\n".join([*parts, *(section.markdown().strip() for section in sections)]) + "\n"


def _machine_table(box: Mapping[str, Any]) -> str:
    rows = [
        ["processor", f"{box['processor']}, {box['cores']} cores usable"],
        ["memory", f"{box['memory_bytes'] / (1 << 30):.1f} GiB"],
        ["system", box["system"]],
        ["Python", f"{box['python']}, {box['openssl']}"],
        ["packages", ", ".join(f"{name} {version}" for name, version in box["packages"].items())],
    ]
    return table(["what", ""], rows)
