"""Pieces that did not simply come over one link: duplicates out of memory, and wholes made of parts.

Parts are read back from the file, since they may have come through different workers.
"""

from engine.ipc import endgame_events, events
from engine.worker.open_file import OpenFile
from engine.worker.scratch import Scratch


def finish_piece(file: OpenFile, scratch: Scratch, order: endgame_events.OfPiece, now_s: float) -> events.News | None:
    """What to report; None for a duplicate whose link went meanwhile, which was told."""
    if isinstance(order, endgame_events.KeepScratch):
        return scratch.keep(order, now_s)
    try:
        if isinstance(order, endgame_events.CheckParts):
            return endgame_events.PartsChecked(order.file_id, order.piece, file.has_good(order.piece))
        digests = [file.digest_of(order.piece, begin, end) for begin, end in order.ranges]
        return endgame_events.RangesHashed(order.file_id, order.piece, digests)
    except OSError as error:
        return events.FileUnreadable(order.file_id, error.errno or 0, str(error))
