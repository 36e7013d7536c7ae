"""The numbers that the tracker's behaviour depends on, each with its reason. Pure.

They are bounds against hostile or broken clients, and periods of housekeeping; an honest group never comes near the
bounds. What an operator may choose is in Policy.

Not here: bounds of single messages (protocol).
"""

from dataclasses import dataclass
from typing import Literal

HANDSHAKE_TIMEOUT_S = 5.0
STRANGER_IDLE_S = 60.0
"""Before a login: long enough to type a password on an open connection, short enough to get rid of silent ones."""
FRAME_TIMEOUT_S = 120.0
"""For the rest of a frame after its header, and for a client to take a reply: 12 MiB at 1 Mbit/s."""
CONNECTIONS_MAX = 4096
CONNECTIONS_PER_ADDRESS_MAX = 512
"""A whole lab may sit behind one address."""
HANDSHAKES_PER_S_PER_ADDRESS = 100
HANDSHAKES_AT_ONCE_PER_ADDRESS = 600
"""One handshake is a millisecond of a core. A lab that reconnects as one after an outage still fits."""
PUBLISHES_TOGETHER_MAX = 32
"""Of one connection; none is longer than a frame of a stranger may be."""
UNREAD_BYTES_MAX = (36 << 20) + (1 << 20)
"""A client with more than one full reply and a mebibyte of events unread is not reading."""

HEARTBEAT_S = 10.0
PRESENCE_TTL_S = 30.0
"""Three heartbeats: two may be lost."""
SWEEP_S = 5.0

CERTIFICATE_LIFE_S = 24 * 3600.0
TICKET_LIFE_S = 600.0
"""At most; an operator may choose less (Policy)."""
TICKET_KEY_LEAD_S = 60.0
"""Before a new key signs its first ticket: a client that is away for less than this hears of the key in time."""
NEWS_POLL_S = 0.25
"""How often a tracker looks for changes that other trackers of its store made; so late a removal made there is heard
of.
"""
OUTCOME_LIFE_S = 24 * 3600.0
"""How long a retry is recognised. A client gives up within seconds."""

REVOCATIONS_PER_SESSION_MAX = 2
REVOCATIONS_COUNTED_FOR_S = 60.0
"""Time enough for the account's owner to log in and give a new password, which ends the other sessions at any time."""

REQUESTS_PER_S_PER_ACCOUNT = 500
REQUESTS_AT_ONCE_PER_ACCOUNT = 5000
"""Of one account on all its connections to a tracker, or of all strangers of one address. A file takes one or two
requests.
"""
REQUEST_WAIT_MAX_S = 0.25
"""A request that comes too fast waits for so long at most; where that is not enough it is refused."""
SESSIONS_PER_ACCOUNT_MAX = 128
GROUPS_PER_ACCOUNT_MAX = 250
"""Groups that the account owns."""
FILES_PER_ACCOUNT_MAX = 100_000
"""Files that the account has published, in all groups: as many as one client can share."""
MANIFEST_BYTES_PER_ACCOUNT_MAX = 1 << 30
"""At 32 bytes a piece: 8 TiB of files in the smallest pieces, 512 TiB in the largest."""
JOIN_REQUESTS_PER_ACCOUNT_MAX = 100
"""Requests that nobody has answered yet."""

STAGED_PAGES_PER_ACCOUNT_MAX = 64
"""Two manifests of the largest kind, 64 MiB. With one page more the oldest is dropped, and asked for again."""
STAGED_PAGES_MAX = 1024
STAGED_PAGE_LIFE_S = 3600.0
"""For so long a publication that was broken off can go on where it was."""

PASSWORDS_WAITING_MAX = 64
"""Passwords that wait for a core. The next one is refused, so that memory and waiting stay bounded."""

PASSWORDS_WAITING_PER_ADDRESS_MAX = 16
INVITES_PER_ACCOUNT_MAX = 100
"""Invitations that nobody has used yet."""
FIRST_INVITE_LIFE_S = 86400.0
AUDIT_ENTRIES_SHOWN = 1000

PUSHES_PER_ANNOUNCE_MAX = 1000
"""Clients beyond that hear of the new neighbour when they ask for peers next."""

NEIGHBOURS_PER_ACCOUNT_MAX = 3
"""Sessions of one account among the neighbours of a peer, as long as other accounts want a place."""
PEER_REPORT_LIFE_S = 60.0
"""For so long a client that found a peer out of reach is handed others. It tries again twice a minute at most."""
PEER_REPORTS_PER_ACCOUNT_MAX = 512
DOUBTERS_COUNTED_MAX = 3
WARN_AFTER_S = 10.0
"""When reports have gone on for so long, a sharer is told that others get nothing from it."""
WARN_AGAIN_S = 3600.0
WARNED_PLACES_MAX = 4096
"""Places that are remembered for these warnings."""

CALL_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
NO_TRACKER_GRACE_S = 3.0
RECONNECT_DELAY_MIN_S = 0.2
RECONNECT_DELAY_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator of a tracker may choose."""

    registration: Literal["open", "invite"] = "open"
    """Who may make an account: everybody who reaches the tracker, or only people whom an account has invited."""

    ticket_life_s: float = TICKET_LIFE_S
    """How long a peer that no tracker can reach may go on serving a member who was removed."""
