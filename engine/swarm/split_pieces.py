"""Pieces that come in parts, over several links, because one slow link alone would have held the download up.

Only the whole can be compared with the manifest. Each part is hashed as it comes, so that it can be judged later which
part of a wrong whole was wrong: the piece is fetched again over one link, and the parts are compared with that.

Invariant: every byte of a split piece is in exactly one of: a free range, a request, a part that came.
"""

from dataclasses import dataclass, field

from engine.swarm.leases import LinkId


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes [begin, end) of a piece as they came over a link, and their hash."""

    link: LinkId
    begin: int
    end: int
    digest: bytes


@dataclass(slots=True)
class _Split:
    length: int
    free: list[tuple[int, int]] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)


class SplitPieces:
    """All of one download."""

    def __init__(self) -> None:
        self._splits: dict[int, _Split] = {}
        self._suspects: dict[int, list[Part]] = {}

    def cut(self, piece: int, length: int, begin: int, end: int) -> None:
        """The range [begin, end) of a piece so long is free; the rest is with whom it was."""
        self._splits.setdefault(piece, _Split(length)).free.append((begin, end))

    def give_back(self, piece: int, begin: int, end: int) -> None:
        """A request for this range ended without it."""
        self._splits[piece].free.append((begin, end))

    def free_ranges(self) -> list[tuple[int, int, int]]:
        """(piece, begin, end) of all that no link is asked for."""
        return [(piece, *each) for piece, split in self._splits.items() for each in split.free]

    def take(self, piece: int, begin: int, end: int) -> None:
        """A link is asked for this range."""
        self._splits[piece].free.remove((begin, end))

    def add(self, piece: int, part: Part) -> bool:
        """A part came; True if it was the last."""
        split = self._splits[piece]
        split.parts.append(part)
        return sum(each.end - each.begin for each in split.parts) == split.length

    def whole(self) -> list[int]:
        """Pieces of which all parts came, but which were not judged yet."""
        return [
            piece
            for piece, split in self._splits.items()
            if sum(each.end - each.begin for each in split.parts) == split.length
        ]

    def judge(self, piece: int, is_good: bool) -> list[Part] | None:
        """The whole was compared; returns its parts, or None if it was not waiting for that. A bad one is forgotten,
        but for its parts, which are under suspicion.
        """
        split = self._splits.pop(piece, None)
        if split is None:
            return None
        if not is_good:
            self._suspects[piece] = split.parts
        return split.parts

    def suspects_of(self, piece: int) -> list[Part]:
        """The parts of which at least one is wrong; empty for a piece that was never bad."""
        return self._suspects.get(piece, [])

    def compare(self, piece: int, digests: list[bytes]) -> list[Part]:
        """`digests` of the good bytes, in the order of the suspects; returns the parts that lied."""
        suspects = self._suspects.pop(piece, [])
        return [part for part, digest in zip(suspects, digests, strict=False) if part.digest != digest]
