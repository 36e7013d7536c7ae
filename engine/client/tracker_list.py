"""The file that lists the trackers, read from the disk.

Not here: what its lines mean (tracker.protocol.addresses).
"""

from pathlib import Path

from engine.errors import LocalError
from tracker.protocol.addresses import INFO_BYTES_MAX, BadTrackerInfo, TrackerAddress, parse_tracker_info


def read_tracker_info(path: Path) -> list[TrackerAddress]:
    """Raises LocalError."""
    try:
        with path.open("rb") as file:
            return parse_tracker_info(file.read(INFO_BYTES_MAX + 1))
    except OSError as error:
        raise LocalError(f"cannot read {path}: {error.strerror}; it lists the trackers", "bad_trackers") from error
    except BadTrackerInfo as error:
        raise LocalError(f"{path}: {error}", "bad_trackers") from error
