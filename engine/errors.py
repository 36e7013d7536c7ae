"""Everything that can go wrong and reach a person, with a code for programs and a sentence for people.

The sentence says what happened, whose fault it is and what to do. Any other exception that leaves the engine is a
bug in it.
"""

from typing import Literal

Cause = Literal[
    "refused", "timed_out", "no_route", "no_answer", "tls_failed", "wrong_clock", "other_peer", "broke_protocol",
    "hung_up", "this_client", "ended_here", "failed_here",
]  # fmt: skip
"""Why there is no link to a peer. refused: no program listens at the address. timed_out: nothing comes back from it.
no_route: the network leads nowhere. no_answer: a machine is there, but says nothing. tls_failed: the peer is not a
member of this authority, or does not accept that this client is. wrong_clock: certificates are not valid now.
other_peer: another key or account answers. hung_up: the peer ended the link, or the network did. this_client: the
address leads to this client. ended_here: this client ended it. failed_here: this machine cannot dial."""


class ShoalError(Exception):
    """Base of all expected failures. `code` is stable and part of the --json output; `str()` is the sentence."""

    code = "error"

    def __init__(self, message: str, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class LocalError(ShoalError):
    """This machine or this request: a bad path, a full disk, a command out of turn."""

    code = "local"


class StorageError(LocalError):
    """A file could not be read, written, reserved or put in its place."""

    code = "storage"


class TrackerUnavailable(ShoalError):
    """No tracker of the list answered."""

    code = "tracker_unavailable"


class RefusedByTracker(ShoalError):
    """The tracker understood and said no; its code is passed on."""

    code = "refused"


class RemoteProtocolError(ShoalError):
    """A peer broke the protocol. Its link is closed and it is named."""

    code = "remote_protocol"
