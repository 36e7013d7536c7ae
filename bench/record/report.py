"""The result of a run: figures with goals and verdicts, and tables; as Markdown for people, as JSON for programs.

Not for: measuring.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table of goals. `value` is None if it could not be measured here; `note` says why, or how.

    A `goal` of None: for information, to be seen beside another.
    """

    name: str
    goal: float | None
    value: float | None
    unit: str
    sense: Literal["at least", "at most"]
    note: str = ""

    @property
    def verdict(self) -> str:
        if self.value is None:
            return "not measured"
        if self.goal is None:
            return "for information"
        is_met = self.value >= self.goal if self.sense == "at least" else self.value <= self.goal
        return "reached" if is_met else "**missed**"

    def row(self) -> list[str]:
        value = "–" if self.value is None else f"{number(self.value)} {self.unit}".strip()
        sign = "≥" if self.sense == "at least" else "≤"
        goal = "–" if self.goal is None else f"{sign} {number(self.goal)} {self.unit}".strip()
        return [self.name, goal, value, self.verdict, self.note]


FIGURE_HEADER = ["figure", "goal", "measured", "verdict", "note"]


@dataclass(slots=True)
class Section:
    """The result of one run: a table, figures, and the raw samples."""

    name: str
    title: str
    method: str
    header: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    pictures: dict[str, str] = field(default_factory=dict)
    """File name → SVG."""
    command: str = ""
    when: str = ""

    def markdown(self) -> str:
        called = f"`{self.command}`" + (f" ({self.when})" if self.when else "")
        parts = [f"## {self.title}", called if self.command else "", self.method]
        parts.append(table(self.header, self.rows) if self.rows else "")
        parts.append(table(FIGURE_HEADER, [figure.row() for figure in self.figures]) if self.figures else "")
        parts.append("\n".join(f"- {note}" for note in self.notes))
        parts.extend(f"![{Path(name).stem.replace('_', ' ')}]({name})" for name in self.pictures)
        return "\n\n".join(part for part in parts if part) + "\n"

    def as_json(self) -> dict[str, Any]:
        figures = [{**asdict(figure), "verdict": figure.verdict.strip("*")} for figure in self.figures]
        return {**asdict(self), "figures": figures, "pictures": list(self.pictures)}


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; a bar in a cell is escaped."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def number(value: float) -> str:
    """About three digits."""
    if value and abs(value) < 0.001:
        return f"{value:.2g}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"


def cell(value: float | None) -> str:
    """A number, or a dash for what does not apply."""
    return "–" if value is None else number(value)
