"""What a scheduler wants done. Plain values; the caller carries them out and reports the results."""

from dataclasses import dataclass

from engine.swarm.leases import LinkId, RequestId


@dataclass(frozen=True, slots=True)
class Ask:
    """Send a request naming these candidates over this link.

    `begin`, `length`: the range of the one candidate, in bytes; 0, 0 for whole pieces. `is_scratch`: what comes is not
    written but kept in memory, since another link holds the piece; report `scratch_ready` when it matched.
    """

    request_id: RequestId
    link: LinkId
    candidates: tuple[int, ...]
    begin: int = 0
    length: int = 0
    is_scratch: bool = False


@dataclass(frozen=True, slots=True)
class Revoke:
    """Tell the worker to stop this request; report `revoked` once it has acknowledged."""

    request_id: RequestId
    link: LinkId


@dataclass(frozen=True, slots=True)
class Cut:
    """Let this request end in the middle of what is still to come; report `was_cut` with the place."""

    request_id: RequestId
    link: LinkId


@dataclass(frozen=True, slots=True)
class Keep:
    """Nobody else writes this piece any more: write what is in memory; report `verified`."""

    request_id: RequestId
    link: LinkId


@dataclass(frozen=True, slots=True)
class CheckPiece:
    """Its parts came over several links: hash the whole; report `checked`."""

    piece: int


@dataclass(frozen=True, slots=True)
class CompareParts:
    """This piece is good now, but was not when it came in these parts: hash these ranges of it; report `compared`."""

    piece: int
    ranges: tuple[tuple[int, int], ...]


Action = Ask | Revoke | Cut | Keep | CheckPiece | CompareParts
