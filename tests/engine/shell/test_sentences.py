"""What a user reads after a command, where more than one thing may have happened."""

import pytest

from engine.reports import StopReport
from engine.shell import sentences


@pytest.mark.parametrize(
    ("report", "end"),
    [
        (StopReport("lab", "x", True), "nobody else online has it, so it left the group's list"),
        (StopReport("lab", "x", False), "stopped sharing x in lab"),
        (StopReport("lab", "x", False, is_pending=True), "is told when one does, also after a restart"),
        (StopReport("lab", "x", False, still_shared_by=["cy", "bob"]), "and is shared by cy and bob"),
        (StopReport("lab", "x", False, is_shared_elsewhere=True), "and is shared by another client of yours"),
        (StopReport("lab", "x", True, was_shared=False), "nobody online has it, and this client did not share it"),
    ],
)
def test_the_end_of_a_share_says_what_became_of_its_name(report: StopReport, end: str) -> None:
    assert sentences.stopped(report).endswith(end)
