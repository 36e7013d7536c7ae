"""What the scheduler wants, as an order to a worker. Pure.

Not for: which worker gets it (coordinator).
"""

from engine.ipc import orders
from engine.swarm.actions import Action, Ask, CheckPiece, CompareParts, Cut, Keep, Revoke


def order_for(action: Action, file_id: int) -> tuple[int | None, orders.AnyOrder]:
    """(link id, order); None: any worker will do."""
    match action:
        case Ask(request_id, link, candidates, begin, length, is_scratch):
            return link, orders.Fetch(link, file_id, request_id, candidates, begin, length, is_scratch)
        case Revoke(request_id, link):
            return link, orders.RevokeRequest(link, file_id, request_id)
        case Cut(request_id, link):
            return link, orders.CutRequest(link, file_id, request_id)
        case Keep(request_id, link):
            return link, orders.KeepScratch(link, file_id, request_id)
        case CheckPiece(piece):
            return None, orders.CheckParts(file_id, piece)
        case CompareParts(piece, ranges):
            return None, orders.HashRanges(file_id, piece, ranges)
