"""Which link was asked for which pieces, and which link holds the lease of a piece.

A request names candidate pieces; from the moment the server's PIECE header says which one comes, the link holds the
lease of that piece and the other candidates are free again. In the endgame a request may be for a range of a piece that
is split, or for a second copy of a piece that a silent link holds: a twin, which holds nothing as long as the first one
lives.

Invariant (I2): a byte of a piece belongs to at most one request that is written, from the ask until it is verified,
refused, or its revocation was acknowledged by the worker that was writing it.
Not here: when to ask or to revoke (scheduler), the ranges of a split piece (split_pieces).
"""

from collections.abc import Iterator
from dataclasses import dataclass

LinkId = int
RequestId = int


@dataclass(slots=True)
class Request:
    """One question to one link, `is_from_idle` if it was the only one then. `piece` is None until granted.

    `thief`: the idle link for whose sake it is being revoked or cut. `begin`, `end`: the range of a split piece, in
    bytes; `end` 0 means a whole piece. `twin`: the other request for the same piece; the one that `is_scratch` is not
    written. `is_ready`: all of it is in scratch memory and matched. `is_over`: the other one came first.
    """

    request_id: RequestId
    link: LinkId
    candidates: tuple[int, ...]
    asked_at_s: float
    piece: int | None = None
    is_from_idle: bool = False
    granted_at_s: float = 0.0
    thief: LinkId | None = None
    begin: int = 0
    end: int = 0
    is_cuttable: bool = True
    is_scratch: bool = False
    is_ready: bool = False
    is_over: bool = False
    twin: "Request | None" = None

    @property
    def pieces(self) -> tuple[int, ...]:
        """All pieces this request keeps from others."""
        if self.end or self.is_over or (self.is_scratch and self.twin is not None):
            return ()
        return self.candidates if self.piece is None else (self.piece,)


class Leases:
    """All requests of one download that are under way."""

    def __init__(self, request_ids: Iterator[RequestId]) -> None:
        """`request_ids`: fresh numbers, shared by all that ask over the same links."""
        self._requests: dict[RequestId, Request] = {}
        self._of_link: dict[LinkId, list[Request]] = {}
        self._request_ids = request_ids

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests.values())

    def ask(self, link: LinkId, candidates: tuple[int, ...], now_s: float, *, begin: int = 0, end: int = 0) -> Request:
        of_link = self._of_link.setdefault(link, [])
        request = Request(
            next(self._request_ids), link, candidates, now_s, is_from_idle=not of_link, begin=begin, end=end
        )
        self._requests[request.request_id] = request
        of_link.append(request)
        return request

    def ask_twin(self, link: LinkId, first: Request, now_s: float) -> Request:
        """A second copy of the piece that `first` holds."""
        assert first.piece is not None
        twin = self.ask(link, (first.piece,), now_s)
        twin.is_scratch, twin.twin, first.twin = True, first, twin
        return twin

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
        """Forget a request; returns the pieces it held. A twin that lives on holds its piece instead."""
        del self._requests[request.request_id]
        self._of_link[request.link].remove(request)
        held, twin = request.pieces, request.twin
        if twin is None:
            return held
        request.twin = twin.twin = None
        return ()

    def of_all(self, link: LinkId) -> list[Request]:
        """The same as a list of one's own, to end them one by one."""
        return list(self._of_link.get(link, []))
