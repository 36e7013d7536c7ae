"""Finishes pieces that did not come whole over one link: duplicates that wait in memory, and pieces made of parts.

Parts are read back from the file, since they may have come through different workers.
Not here: which of these is done when (swarm.endgame).
"""

from engine.ipc import orders, reports
from engine.worker.local_file import LocalFile
from engine.worker.scratch import Scratch


def finish_piece(file: LocalFile, scratch: Scratch, order: orders.OfPiece, now_s: float) -> reports.Report | None:
    """The report of it; None for a duplicate whose link has ended, since that was reported."""
    if isinstance(order, orders.KeepScratch):
        return scratch.keep(order, now_s)
    try:
        if isinstance(order, orders.CheckParts):
            return reports.PartsChecked(order.file_id, order.piece, file.has_good(order.piece))
        digests = [file.digest_of(order.piece, begin, end) for begin, end in order.ranges]
        return reports.RangesHashed(order.file_id, order.piece, digests)
    except OSError as error:
        return reports.FileUnreadable(order.file_id, error.errno or 0, str(error))
