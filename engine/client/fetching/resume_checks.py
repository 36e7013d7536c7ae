"""Checks whether a begun download can continue where it was; the errors tell the user what to do.

Invariant: nothing on the disk is changed here.
Not for: what becomes of a download that cannot go on (held_downloads).
"""

import os
from pathlib import Path

from engine.client.fetching.held_downloads import NOT_MEMBER
from engine.errors import LocalError, StorageError
from engine.storage.ledger import StartedDownload

ENDS = "download_file begins it anew, here or at another place, and cancel_download ends it"


def shut_out(begun: StartedDownload) -> LocalError:
    return LocalError(
        f"you are not a member of {begun.group_id} any more; what has come of {begun.name} is kept: it goes on when "
        "you are let in again, and cancel_download removes it",
        NOT_MEMBER,
    )


def require_folder(begun: StartedDownload, target: Path) -> None:
    """Raises StorageError if `target` is the folder that this was fetched into, which is gone: the same command as
    before would give the file the folder's name, where its disk belongs.
    """
    if target == Path(begun.target).parent and not os.path.lexists(target):
        raise StorageError(
            f"there is no folder {target}, into which {begun.name} was being fetched; if its disk is away, the "
            f"download goes on when that is back; to begin it anew, make the folder, or write {target}/",
            "no_folder",
        )


def require_place(begun: StartedDownload) -> None:
    """Raises StorageError if the folder or the part file is not where it was."""
    target = Path(begun.target)
    if not os.path.isdir(target.parent):
        raise StorageError(
            f"there is no folder {target.parent}; if its disk is away, the download goes on when that is back; {ENDS}",
            "no_folder",
        )
    if begun.has_part and not os.path.lexists(begun.part) and not os.path.lexists(target):
        raise StorageError(
            f"its part file {begun.part} is gone; if its disk is away, the download goes on when that is back; {ENDS}",
            "part_gone",
        )
