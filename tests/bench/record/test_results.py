"""Recording a run replaces what that run said before, and nothing else."""

import json
from pathlib import Path

from bench.record.report import Figure, Section
from bench.record.results import record


def section(name: str, command: str, value: float) -> Section:
    figure = Figure("a figure", 1.0, value, "s", "at most")
    return Section(name, name.title(), "how", ["what"], [["x"]], [figure], command=command)


def recorded(folder: Path) -> list[tuple[str, float]]:
    runs = json.loads((folder / "RESULTS.json").read_text())["runs"]
    return [(each["command"], each["figures"][0]["value"]) for each in runs]


def test_a_run_takes_the_place_of_the_same_command(tmp_path: Path) -> None:
    record(tmp_path, [section("wire", "wire --count 1", 1), section("wire", "wire --count 2", 2)])
    record(tmp_path, [section("wire", "wire --count 2", 3)])
    assert recorded(tmp_path) == [("wire --count 1", 1), ("wire --count 2", 3)]


def test_a_run_called_otherwise_takes_the_place_of_all_of_its_name(tmp_path: Path) -> None:
    record(tmp_path, [section("wire", "wire --count 1", 1), section("picker", "picker", 2)])
    record(tmp_path, [section("wire", "wire --count 9", 3)])
    assert recorded(tmp_path) == [("picker", 2), ("wire --count 9", 3)]


def test_the_page_is_made_from_what_was_kept(tmp_path: Path) -> None:
    first, second = section("startup", "startup", 0.5), section("picker", "picker", 2)
    second.pictures = {"picker.svg": "<svg/>"}
    record(tmp_path, [first])
    record(tmp_path, [second])
    page = (tmp_path / "RESULTS.md").read_text()
    assert first.markdown().strip() in page
    assert "![picker](picker.svg)" in page
    assert (tmp_path / "picker.svg").read_text() == "<svg/>"
    assert "| picker: a figure | ≤ 1.00 s | 2.00 s | **missed** |" in page
