"""All of them in at most ~10 minutes; writes bench/RESULTS.md, RESULTS.json, throughput.svg and the README's figures.

Options go to nobody: what each run is called with stands here and in the results. `python -m bench all --quick` is for
trying the suite out: tiny sizes, figures without meaning, written to a folder of temporary files.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import headline, plot, runs
from bench.measure import machine
from bench.processes import ROOT
from bench.report import FIGURE_HEADER, Section, table

PLAN = (
    ("compare", "--size", "2048", "--rounds", "3", "--only", "libtorrent"),
    ("ceiling", "--size", "2048", "--rounds", "3"),
    ("single", "--size", "2048", "--rounds", "3"),
    ("compare", "--size", "512", "--rounds", "2"),
    ("distance", "--rounds", "3"),
    ("memory", "--size", "4"),
    ("hashing", "--size", "1024", "--rounds", "5"),
    ("picker",),
    ("small",),
    ("startup",),
    ("destination", "--size", "1024", "--rounds", "3"),
    ("wire",),
    ("revocation",),
    ("faults", "--kills", "12", "--resume-gib", "4", "--size", "1024", "--rounds", "3"),
)
QUICK_PLAN = (
    ("compare", "--size", "64", "--rounds", "1"),
    ("ceiling", "--size", "64", "--rounds", "1"),
    ("single", "--size", "64", "--rounds", "1"),
    ("distance", "--size", "32", "--rounds", "1"),
    ("memory", "--size", "1"),
    ("hashing", "--size", "64", "--rounds", "1"),
    ("picker", "--pieces", "10000", "--peers", "20", "--picks", "500", "--haves", "1000"),
    ("small", "--files", "20"),
    ("startup", "--rounds", "1"),
    ("destination", "--size", "64", "--rounds", "1"),
    ("wire", "--count", "100"),
    ("revocation", "--rounds", "1"),
    ("faults", "--kills", "5", "--resume-gib", "4", "--size", "256", "--rounds", "1"),
)
_METHOD = """\
Everything ran on one machine over loopback, sender and receiver sharing its cores. Contestants take turns
(A B C A B C …) after one round of warm-up in which the copies are compared byte by byte and memory is watched; ratios
are taken between neighbours of one round, and their median is shown. CPU seconds are of whole process trees, user and
system; memory is USS, what would be freed if the tree ended. Directly before every fetch, of every contestant alike, a
scratch file of the same size is written into the destination's folder and deleted: memory of a virtual machine is slow
(about 1 s/GB) when it is touched for the first time. Outputs are deleted after each fetch. A goal that was missed stays
in the table. `python -m bench` lists the single runs and their options."""


def run(arguments: Sequence[str]) -> int:
    """0, or 1 if a run broke down."""
    parser = argparse.ArgumentParser(prog="python -m bench all", description=__doc__)
    parser.add_argument("--quick", action="store_true")
    is_quick = parser.parse_args(arguments).quick
    folder = Path(tempfile.mkdtemp(prefix="shoal-bench-results-")) if is_quick else ROOT / "bench"
    before, started_s = machine(), time.monotonic()
    sections: list[Section] = []
    broken: dict[str, str] = {}
    for name, *words in QUICK_PLAN if is_quick else PLAN:
        print(f"\n{name} {' '.join(words)}", file=sys.stderr, flush=True)
        try:
            sections.append(runs.measure(name, words))
        except Exception as error:  # the other figures are worth having, and this one is said to be missing
            called = " ".join((name, *words))
            broken[called] = f"{type(error).__name__}: {error}"
            print(broken[called], file=sys.stderr, flush=True)
    minutes = (time.monotonic() - started_s) / 60
    facts = {"when": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", "minutes": round(minutes, 1), "machine": before}
    facts |= {"load_average_after": machine()["load_average"], "broken": broken}
    image = plot.draw(sections, folder / "throughput.svg")
    (folder / "RESULTS.md").write_text(_markdown(facts, sections, image))
    results = {**facts, "runs": [section.as_json() for section in sections]}
    (folder / "RESULTS.json").write_text(json.dumps(results, indent=1) + "\n")
    if not is_quick:
        headline.rewrite(ROOT / "README.md", headline.text(sections, before))
    print(_goals(sections, broken))
    print(f"\n{minutes:.1f} minutes; all of it is in {folder}/RESULTS.md")
    return 1 if broken else 0


def _markdown(facts: dict[str, Any], sections: Sequence[Section], image: Path | None) -> str:
    broken = facts["broken"]
    parts = ["# Measured", "Written by `make bench`; not edited.", "## Goals", _goals(sections, broken)]
    if image is not None:
        parts.append(f"![Throughput of Shoal and of others]({image.name})")
    parts += ["## Machine and method", _machine_table(facts), _METHOD]
    return "\n\n".join([*parts, *(section.markdown().strip() for section in sections)]) + "\n"


def _goals(sections: Sequence[Section], broken: dict[str, str]) -> str:
    """Every figure once; where two runs measured the same, the first, larger one counts."""
    rows: dict[str, list[str]] = {}
    for section in sections:
        for figure in section.figures:
            title = f"{section.name}: {figure.name}"
            rows.setdefault(title, [title, *figure.row()[1:]])
    lost = [[name, "", "–", "**broke down**", reason] for name, reason in broken.items()]
    return table(FIGURE_HEADER, [*rows.values(), *lost])


def _machine_table(facts: dict[str, Any]) -> str:
    box = facts["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in box["packages"].items())
    rows = [
        ["when", f"{facts['when']}, {facts['minutes']} minutes"],
        ["processor", f"{box['processor']}, {box['cores']} cores usable"],
        ["memory", f"{box['memory_bytes'] / (1 << 30):.1f} GiB"],
        ["system", box["system"]],
        ["Python", f"{box['python']}, {box['openssl']}"],
        ["packages", packages],
        ["load average before and after", f"{box['load_average']} and {facts['load_average_after']}"],
    ]
    return table(["what", ""], rows)
