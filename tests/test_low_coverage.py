"""Which files `make check-all` names."""

import json

from tests.low_coverage import below


def test_files_below_the_figure_are_named_least_first() -> None:
    percents = {"a.py": 89.9, "b.py": 90.0, "c.py": 12.0}
    report = {
        "files": {path: {"summary": {"percent_covered": percent}} for path, percent in percents.items()},
        "totals": {"percent_covered": 80.0},
    }
    lines = below(json.dumps(report), 90)
    assert lines == [" 12.0 %  c.py", " 89.9 %  a.py", " 80.0 %  all 3 files, 2 of them below 90 %"]
