"""What can go wrong for a client of the tracker. Pure. Invariant: every message is a sentence for a person."""

from tracker.protocol.addresses import TrackerAddress


class TrackerError(Exception):
    """Base of the expected failures."""


class TrackerLost(TrackerError):
    """This one tracker did not answer, or its connection broke. Another may still do."""


class TrackersSilent(TrackerLost):
    """No tracker that was asked answers or greets a new connection. They may still carry the request out."""


class NoTracker(TrackerError):
    """No tracker of the list answered."""


class UntrustedTracker(TrackerError):
    """What answers at a tracker's address is not certified by the authority that this client trusts.

    `expected` and `presented` are fingerprints; `presented` is what the stranger says of itself, unproven.
    """

    def __init__(self, address: TrackerAddress, expected: str, presented: str) -> None:
        super().__init__(
            f"the tracker at {address} is not the one trusted so far: expected {expected}, it says {presented}. "
            "Somebody may be in between. If the tracker was set up anew, remove its kept fingerprint and try again"
        )
        self.address = address
        self.expected = expected
        self.presented = presented


class TrackerRefused(TrackerError):
    """The tracker answered with a refusal. `code` is one of protocol.types.ErrorCode."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
