"""What was found while processes were killed at random, and the figures that follow from it."""

from collections import Counter
from dataclasses import dataclass, field

from bench.record.report import Figure
from tests.testkit.measure import MIB


@dataclass
class Survey:
    """Every list of complaints should be empty."""

    kills: Counter[str] = field(default_factory=Counter)
    transfers: int = 0
    wrong_files: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    fetched_again_bytes: list[int] = field(default_factory=list)

    @property
    def complaints(self) -> dict[str, list[str]]:
        """By their kind."""
        return {
            "wrong": self.wrong_files,
            "lost": self.lost,
            "left over": self.left_over,
            "stuck": self.stuck,
        }


def figures_of(survey: Survey, seed: int) -> list[Figure]:
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
