"""Everything that happens in a client by itself: one frozen type for each kind of event.

Each event has a stable `code` for programs, and `str()` is a sentence for people. A Notice is an event that a user
should read; the others are for programs that show how a download goes on.

Not here: who hears them (subscribers), the failures of commands (engine.errors), the events of transfers
(engine.coordinator.events).
"""

from engine.client.spellings import shown_id
from engine.errors import ShoalError
from engine.reports import DownloadStatus, DroppedShare, Event, Notice

__all__ = ["Event", "Notice"]


# ---------------------------------------------------------------- downloads


class DownloadProgressed(Event, frozen=True):
    """A download is in another state or has come further: a few times a second while it moves."""

    status: DownloadStatus
    code = "download_progressed"

    def __str__(self) -> str:
        return f"{self.status.name}: {self.status.state}"


class DownloadEnded(Event, frozen=True):
    """A download does not run any more: it is complete, failed, cancelled or paused."""

    status: DownloadStatus
    code = "download_ended"

    def __str__(self) -> str:
        return f"the download of {self.status.name} is {self.status.state}"


class DownloadFollowed(Notice, frozen=True):
    """The same file was asked for twice; there is one download of it."""

    name: str
    target: str
    code = "download_followed"

    def __str__(self) -> str:
        return f"{self.name} is being downloaded to {self.target} already; this follows it"


class DownloadStuck(Notice, frozen=True):
    """A begun download cannot go on before its user does something."""

    name: str
    reason: str
    code = "download_stuck"

    def __str__(self) -> str:
        return f"the download of {self.name} does not go on: {self.reason}"


class DownloadResumed(Notice, frozen=True):
    """A download that could not run for a while runs again."""

    name: str
    code = "download_resumed"

    def __str__(self) -> str:
        return f"the download of {self.name} goes on"


class DownloadFailed(Notice, frozen=True):
    """A download ended without the file, and no caller waits for it."""

    name: str
    reason: str
    code = "download_failed"

    def __str__(self) -> str:
        return f"the download of {self.name} ended: {self.reason}"


class DownloadHalted(Notice, frozen=True):
    """A download stopped since the account is not a member any more, and no caller waits for it. What came is kept."""

    name: str
    reason: str
    code = "download_failed"

    def __str__(self) -> str:
        return f"the download of {self.name} stops: {self.reason}"


class PartGone(Notice, frozen=True):
    """A download was begun anew because its part file was gone."""

    part: str
    name: str
    code = "part_gone"

    def __str__(self) -> str:
        return f"{self.part} was gone: the download of {self.name} begins anew"


class PartLeft(Notice, frozen=True):
    """The part file of a download that ended is still on the disk."""

    name: str
    reason: str
    code = "part_left"

    def __str__(self) -> str:
        return f"what was fetched of {self.name} before could not be removed: {self.reason}"


# ---------------------------------------------------------------- shares


class ShareRereading(Notice, frozen=True):
    """A shared file is being read again, and that takes more than a moment."""

    path: str
    group_id: str
    reason: str
    code = "share_rereading"

    def __str__(self) -> str:
        return f"{self.path} is read again before it is served in {self.group_id} any further: {self.reason}"


class ShareRechecked(Notice, frozen=True):
    """A shared file was read again and is what it was."""

    path: str
    group_id: str
    code = "share_rechecked"

    def __str__(self) -> str:
        return f"{self.path} was touched but is the same: shared in {self.group_id} again"


class ShareMoved(Notice, frozen=True):
    """A shared file was given another name; it is served from there."""

    before: str
    path: str
    group_id: str
    code = "share_moved"

    def __str__(self) -> str:
        return f"{self.before} is {self.path} now: shared in {self.group_id} from there"


class ShareBack(Notice, frozen=True):
    """A shared file that was away is there again."""

    path: str
    group_id: str
    code = "share_back"

    def __str__(self) -> str:
        return f"{self.path} is there again: shared in {self.group_id}"


class ShareAway(Notice, frozen=True):
    """A shared file cannot be read now. `state`: "missing" or "unreadable"."""

    state: str
    group_id: str
    reason: str

    @property
    def code(self) -> str:
        return f"share_{self.state}"

    def __str__(self) -> str:
        waits = "it is served again when it is back, and stop_share ends it"
        return f"not served in {self.group_id} for now: {self.reason}; {waits}"


class ShareWrong(Notice, frozen=True):
    """A piece of a shared file is not what was shared, although the marks of the file are the same."""

    name: str
    group_id: str
    piece: int
    path: str
    code = "share_wrong"

    def __str__(self) -> str:
        return (
            f"your copy of {self.name} in {self.group_id} is not what it was: piece {self.piece} of {self.path} is "
            "wrong, although its times and size are the same; all of it is read before it is served any further"
        )


class ShareDropped(Notice, frozen=True):
    """A share ended although its user did not end it."""

    share: DroppedShare
    code = "share_dropped"

    def __str__(self) -> str:
        return f"{self.share.path} is not shared in {self.share.group_id} any more: {self.share.reason}"


class ShareWithdrawn(Notice, frozen=True):
    """A share was stopped while no tracker answered; now a tracker took the file off the group's list."""

    name: str
    group_id: str
    code = "share_withdrawn"

    def __str__(self) -> str:
        return f"{self.name} left the list of {self.group_id}: you stopped sharing it while no tracker answered"


# ---------------------------------------------------------------- groups


class RequestArrived(Notice, frozen=True):
    """An account asks to join a group that this account owns."""

    group_id: str
    user_id: str
    code = "request_arrived"

    def __str__(self) -> str:
        asked = f"{shown_id(self.user_id)} asks to join {shown_id(self.group_id)}"
        return f"{asked}: accept_request {self.group_id} {self.user_id}"


class RequestAnswered(Notice, frozen=True):
    """The owner of a group answered this account's request to join it."""

    group_id: str
    is_accepted: bool
    code = "request_answered"

    def __str__(self) -> str:
        answer = "you are a member of" if self.is_accepted else "you were not let into"
        return f"{answer} {shown_id(self.group_id)}"


class OwnerChanged(Notice, frozen=True):
    """A group has another owner."""

    group_id: str
    owner: str
    code = "owner_changed"

    def __str__(self) -> str:
        return f"{shown_id(self.group_id)} belongs to {shown_id(self.owner)} now"


class LeftGroup(Notice, frozen=True):
    """This account was put out of a group."""

    group_id: str
    code = "left_group"

    def __str__(self) -> str:
        return f"you are not a member of {shown_id(self.group_id)} any more"


# ---------------------------------------------------------------- this client and the trackers


class SessionEnded(Notice, frozen=True):
    """The trackers ended the session of this account."""

    reason: str
    code = "session_ended"

    def __str__(self) -> str:
        return f"you are logged out: {self.reason}; log in again to go on sharing"


class TrackerTrusted(Notice, frozen=True):
    """The first contact with a tracker whose fingerprint was not known before."""

    fingerprint: str
    code = "tracker_trusted"

    def __str__(self) -> str:
        return f"first contact with this tracker, its fingerprint is kept: {self.fingerprint}"


class ClockDiffers(Notice, frozen=True):
    """This machine's clock and a tracker's differ, or agree again."""

    sentence: str
    code = "clock"

    def __str__(self) -> str:
        return self.sentence


class OutOfReach(Notice, frozen=True):
    """Members that were sent to this client got nothing from it. `members`: how many told the tracker so."""

    place: str
    members: int
    code = "out_of_reach"

    def __str__(self) -> str:
        who = "a member gets" if self.members == 1 else f"{self.members} members or more get"
        return (
            f"{who} nothing from this client at {self.place}, where others are sent; if a firewall or router is in "
            "between, let this port through. Downloads from others work all the same"
        )


class AddressUnlikely(Notice, frozen=True):
    """This client listens at one address of this machine, and trackers see it at another."""

    host: str
    place: str
    code = "out_of_reach"

    def __str__(self) -> str:
        return (
            f"this client listens at {self.host} only, and others are sent to {self.place}, where it was seen: they "
            "reach it only if that leads here. Start it with an address that others can reach, or with 0.0.0.0"
        )


class WorkFailed(Notice, frozen=True):
    """Work that the client began by itself failed. Code and sentence are those of the error."""

    error: ShoalError

    @property
    def code(self) -> str:
        return self.error.code

    def __str__(self) -> str:
        return str(self.error)
