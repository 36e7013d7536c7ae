"""What the scheduler wants, as an order to a worker. Pure.

Not for: which worker gets it (coordinator).
"""

from engine.ipc import endgame_events, events
from engine.swarm.actions import Action, Ask, CheckPiece, CompareParts, Cut, Keep, Revoke


def order_for(action: Action, file_id: int) -> tuple[int | None, events.AnyOrder]:
    """(link id, order); None: any worker will do."""
    match action:
        case Ask(request_id, link, candidates, begin, length, is_scratch):
            return link, events.Fetch(link, file_id, request_id, candidates, begin, length, is_scratch)
        case Revoke(request_id, link):
            return link, events.RevokeRequest(link, file_id, request_id)
        case Cut(request_id, link):
            return link, endgame_events.CutRequest(link, file_id, request_id)
        case Keep(request_id, link):
            return link, endgame_events.KeepScratch(link, file_id, request_id)
        case CheckPiece(piece):
            return None, endgame_events.CheckParts(file_id, piece)
        case CompareParts(piece, ranges):
            return None, endgame_events.HashRanges(file_id, piece, ranges)
