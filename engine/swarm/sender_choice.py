"""Which of the pieces it was asked for a server sends: the one it has sent least.

The receiver's view of what is rare is always old on a fast network: by the time a request arrives, others have been
sent the same pieces. The server knows what it sent itself. For the first seeder of a file this is super-seeding without
hiding anything (BEP 16): no piece leaves twice while one that is asked for never left.

Not here: who may send now (upload_slots).
"""

from collections.abc import Sequence
from typing import Protocol

SENT_FORGOTTEN_S = 5.0
"""After so long without a byte of a file what was sent says nothing about what those who ask now lack; longer than a
slice takes on a link of 50 kB/s."""


class Counts(Protocol):
    """How often each piece was sent, or whether it is here: an array, a buffer, a list."""

    def __getitem__(self, piece: int, /) -> int: ...


def least_sent(candidates: Sequence[int], have: Counts, sent: Counts) -> int | None:
    """The candidate that is here and was sent least, the first named among equals; None if none of them is here."""
    here = [piece for piece in candidates if have[piece]]
    return min(here, key=sent.__getitem__) if here else None
