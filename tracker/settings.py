"""Every number the tracker's behaviour hangs on, with its reason. Pure.

They are bounds against hostile or broken clients and periods of housekeeping, not knobs: an honest group never comes
near them. Bounds of single messages are in `protocol`.
"""

from dataclasses import dataclass
from typing import Literal

HANDSHAKE_TIMEOUT_S = 5.0
STRANGER_IDLE_S = 60.0
"""Before login: long enough to type a password on an open connection, short enough to clear out the silent."""
FRAME_TIMEOUT_S = 120.0
"""For the rest of a frame once its header is here, and for a reply to be taken: 12 MiB at 1 Mbit/s."""
CONNECTIONS_MAX = 4096
CONNECTIONS_PER_ADDRESS_MAX = 512
"""A whole lab may sit behind one address."""
HANDSHAKES_PER_S_PER_ADDRESS = 100
HANDSHAKES_AT_ONCE_PER_ADDRESS = 600
"""One handshake is a millisecond of a core. A lab that reconnects as one after an outage still fits."""
PUBLISHES_TOGETHER_MAX = 32
"""Of one connection, none longer than a frame of a stranger."""
UNREAD_BYTES_MAX = (36 << 20) + (1 << 20)
"""A client with more than one full reply and a mebibyte of events unread is not reading."""

HEARTBEAT_S = 10.0
PRESENCE_TTL_S = 30.0
"""Three heartbeats: two may be lost."""
SWEEP_S = 5.0

CERTIFICATE_LIFE_S = 24 * 3600.0
TICKET_LIFE_S = 600.0
"""At most, and unless whoever runs the tracker chooses less (Policy)."""
TICKET_KEY_LEAD_S = 60.0
"""Before a new key signs its first ticket: every client that is away for less hears of it in time."""
NEWS_POLL_S = 0.25
"""How often a tracker looks for what others of its store changed: the delay of a removal that another one made."""
OUTCOME_LIFE_S = 24 * 3600.0
"""How long a retry is recognised. A client gives up within seconds."""

REVOCATIONS_PER_SESSION_MAX = 2
REVOCATIONS_COUNTED_FOR_S = 60.0
"""Time enough for the account's owner to log in and to give a new password; which may be followed by a revocation."""

REQUESTS_PER_S_PER_ACCOUNT = 500
REQUESTS_AT_ONCE_PER_ACCOUNT = 5000
"""Of one account, on all its connections to a tracker, and of all strangers of one address. A file takes one or two."""
REQUEST_WAIT_MAX_S = 0.25
"""Whoever asks faster waits for his turn; an account on so many connections that this is not enough is refused."""
SESSIONS_PER_ACCOUNT_MAX = 128
GROUPS_PER_ACCOUNT_MAX = 250
"""Owned ones."""
FILES_PER_ACCOUNT_MAX = 100_000
"""Published, in all groups: as many as one client can share."""
MANIFEST_BYTES_PER_ACCOUNT_MAX = 1 << 30
"""Of 32 bytes a piece: 8 TiB in the smallest pieces, 512 TiB in the largest."""
JOIN_REQUESTS_PER_ACCOUNT_MAX = 100
"""Unanswered ones."""

STAGED_PAGES_PER_ACCOUNT_MAX = 64
"""Two manifests of the largest kind, 64 MiB; with one page more the oldest is dropped, and asked for again."""
STAGED_PAGES_MAX = 1024
STAGED_PAGE_LIFE_S = 3600.0
"""For so long a publishing that was broken off goes on where it was."""

PASSWORDS_WAITING_MAX = 64
"""Logins in line for a core; one more is told to come back, so that memory and waiting stay bounded."""

PASSWORDS_WAITING_PER_ADDRESS_MAX = 16
INVITES_PER_ACCOUNT_MAX = 100
"""Unused ones."""
FIRST_INVITE_LIFE_S = 86400.0
AUDIT_ENTRIES_SHOWN = 1000

PUSHES_PER_ANNOUNCE_MAX = 1000
"""Who is not told of a new neighbour hears of it at the next handout."""

NEIGHBOURS_PER_ACCOUNT_MAX = 3
"""Sessions of one account among the neighbours that somebody is handed, as long as other accounts want a place."""
PEER_REPORT_LIFE_S = 60.0
"""For so long whoever found a peer out of reach is handed others. A client tries again twice a minute at most."""
PEER_REPORTS_PER_ACCOUNT_MAX = 512
DOUBTERS_COUNTED_MAX = 3
WARN_AFTER_S = 10.0
"""After so long a sharer is told that others get nothing from it."""
WARN_AGAIN_S = 3600.0
WARNED_PLACES_MAX = 4096
"""Places remembered for that."""

CALL_TIMEOUT_S = 30.0
CONNECT_TIMEOUT_S = 5.0
NO_TRACKER_GRACE_S = 3.0
RECONNECT_DELAY_MIN_S = 0.2
RECONNECT_DELAY_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Policy:
    """What whoever runs a tracker may choose."""

    registration: Literal["open", "invite"] = "open"
    """Who may make an account: everybody who reaches the tracker, or whoever was invited by somebody who has one."""

    ticket_life_s: float = TICKET_LIFE_S
    """How long a peer that no tracker reaches may go on serving somebody who was put out."""
