"""Who was asked for what, and who holds which piece.

A request names candidate pieces; from the moment the server's PIECE header says which one comes, the link holds the
lease of that piece and the other candidates are free again.

Invariant (I2): a piece belongs to at most one request, from the ask until it is verified, refused, or its revocation
was acknowledged by the worker that was writing it.
Not here: when to ask or to revoke (scheduler).
"""

from collections.abc import Iterator
from dataclasses import dataclass

LinkId = int
RequestId = int


@dataclass(slots=True)
class Request:
    """One question to one link, `is_from_idle` if it was the only one then. `piece` is None until granted.

    `thief`: the idle link for whose sake it is being revoked.
    """

    request_id: RequestId
    link: LinkId
    candidates: tuple[int, ...]
    asked_at_s: float
    piece: int | None = None
    is_from_idle: bool = False
    granted_at_s: float = 0.0
    thief: LinkId | None = None

    @property
    def pieces(self) -> tuple[int, ...]:
        """All pieces this request keeps from others."""
        return self.candidates if self.piece is None else (self.piece,)


class Leases:
    """All requests of one download that are under way."""

    def __init__(self, request_ids: Iterator[RequestId]) -> None:
        """`request_ids`: fresh numbers, shared with whoever else asks over the same links."""
        self._requests: dict[RequestId, Request] = {}
        self._of_link: dict[LinkId, list[Request]] = {}
        self._request_ids = request_ids

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests.values())

    def ask(self, link: LinkId, candidates: tuple[int, ...], now_s: float) -> Request:
        of_link = self._of_link.setdefault(link, [])
        request = Request(next(self._request_ids), link, candidates, now_s, is_from_idle=not of_link)
        self._requests[request.request_id] = request
        of_link.append(request)
        return request

    def find(self, request_id: RequestId) -> Request | None:
        """None when it ended already: a late message about it means nothing."""
        return self._requests.get(request_id)

    def of_link(self, link: LinkId) -> list[Request]:
        """Oldest first, which is the order a server answers in."""
        return self._of_link.get(link, [])

    def grant(self, request: Request, piece: int, now_s: float) -> list[int]:
        """The server chose `piece`; returns the candidates that are free again."""
        freed = [candidate for candidate in request.candidates if candidate != piece]
        request.piece, request.granted_at_s = piece, now_s
        return freed

    def end(self, request: Request) -> tuple[int, ...]:
        """Forget a request; returns the pieces it held."""
        del self._requests[request.request_id]
        self._of_link[request.link].remove(request)
        return request.pieces

    def lose_link(self, link: LinkId) -> list[int]:
        """Forget all of a link; returns the pieces it held."""
        held: list[int] = []
        for request in self._of_link.pop(link, []):
            del self._requests[request.request_id]
            held.extend(request.pieces)
        return held
