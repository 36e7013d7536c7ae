"""What happens during transfers by itself and the user should know of: one frozen type for each.

Each has a stable `code`, and `str()` is a sentence. Not here: who is told (the client, by way of the Directory).
"""

from engine.errors import ShoalError
from engine.reports import Notice


class WorkerDied(Notice, frozen=True):
    """A process of the pool ended; `how` is a verb phrase."""

    how: str
    code = "worker_died"

    def __str__(self) -> str:
        return f"a worker process {self.how} and is replaced; its pieces are fetched again"


class BadPeer(Notice, frozen=True):
    """An account sent wrong bytes or broke the protocol; `why` is a verb phrase."""

    name: str
    user_id: str
    why: str
    ban_s: float
    code = "bad_peer"

    def __str__(self) -> str:
        user_id = self.user_id
        return f"{self.name}: {user_id} {self.why}; nothing of it is taken from {user_id} for {self.ban_s:g} s"


class PeerPardoned(Notice, frozen=True):
    """An account that sent a wrong piece found that its own copy is damaged."""

    name: str
    user_id: str
    code = "peer_pardoned"

    def __str__(self) -> str:
        said = "found that its copy is not what it was, and is asked again when it is"
        return f"{self.name}: {self.user_id} {said}"


class Rechecked(Notice, frozen=True):
    """The journal of a part file was not believed."""

    part: str
    doubt: str
    code = "rechecked"

    def __str__(self) -> str:
        return f"{self.part}: {self.doubt}; all of it was read and checked again"


class NoSpace(Notice, frozen=True):
    """The disk is full; the download waits."""

    name: str
    error: ShoalError
    code = "no_space"

    def __str__(self) -> str:
        return f"the download of {self.name} waits for space: {self.error}; it goes on by itself"


class SpaceBack(Notice, frozen=True):
    """There is space again for a download that waited for it."""

    name: str
    code = "space_back"

    def __str__(self) -> str:
        return f"there is space again: the download of {self.name} goes on"


class PartChanged(Notice, frozen=True):
    """Another program changed verified bytes of a part file."""

    error: ShoalError
    code = "part_changed"

    def __str__(self) -> str:
        return f"{self.error}; it is read again, and what is wrong fetched anew"


class DownloadWaiting(Notice, frozen=True):
    """A download can get nothing from anyone now."""

    why: str
    code = "download_waiting"

    def __str__(self) -> str:
        return self.why


class JournalNotWritten(Notice, frozen=True):
    """The last state of a download that stops could not be recorded."""

    error: ShoalError
    code = "storage"

    def __str__(self) -> str:
        return f"{self.error}. What was fetched last is checked at the next login"
