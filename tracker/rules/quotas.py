"""How much of the tracker's store one account may take up. Pure: counts in, nothing or a Refusal out.

Invariants. The counts are made in the transaction of the change that would exceed them, so that two trackers cannot
both admit the last one. An account keeps what it has already, even where a limit is lower now.

Not here: how often an account may ask (token_buckets), staged pages of manifests (store.manifest_pages).
"""

from typing import NamedTuple

from tracker.rules.permissions import Refusal
from tracker.settings import (
    FILES_PER_ACCOUNT_MAX,
    GROUPS_PER_ACCOUNT_MAX,
    JOIN_REQUESTS_PER_ACCOUNT_MAX,
    MANIFEST_BYTES_PER_ACCOUNT_MAX,
    SESSIONS_PER_ACCOUNT_MAX,
)


class PublishedTotals(NamedTuple):
    """What one account has published in all groups. Each file counts with its own manifest, also where two are the
    same.
    """

    files: int
    manifest_bytes: int


def check_owner(user_id: str, groups_owned: int, *, is_asking: bool) -> None:
    """To be called before this account owns one more group."""
    if groups_owned >= GROUPS_PER_ACCOUNT_MAX:
        who = "you own" if is_asking else f"{user_id} owns"
        raise Refusal(
            "over_quota",
            f"{who} {groups_owned} groups, {GROUPS_PER_ACCOUNT_MAX} is the limit of an account; leave one "
            "(leave_group) or give it away (transfer_ownership) first",
        )


def check_asker(requests_pending: int) -> None:
    """To be called before this account asks to join one more group."""
    if requests_pending >= JOIN_REQUESTS_PER_ACCOUNT_MAX:
        raise Refusal(
            "over_quota",
            f"you wait for the answers of {requests_pending} groups, {JOIN_REQUESTS_PER_ACCOUNT_MAX} is the limit of "
            "an account; wait until their owners have decided",
        )


def check_publisher(published: PublishedTotals) -> None:
    """`published` includes the file that is being published."""
    if published.files > FILES_PER_ACCOUNT_MAX:
        raise Refusal(
            "over_quota",
            f"you have published {published.files - 1} files, {FILES_PER_ACCOUNT_MAX} is the limit of an account; stop "
            "sharing some (stop_share), or put many small ones into an archive",
        )
    if published.manifest_bytes > MANIFEST_BYTES_PER_ACCOUNT_MAX:
        raise Refusal(
            "over_quota",
            f"with this file the manifests of yours would have {published.manifest_bytes >> 20} MiB, "
            f"{MANIFEST_BYTES_PER_ACCOUNT_MAX >> 20} MiB is the limit of an account; stop sharing some (stop_share)",
        )


def check_sessions(connected: int) -> None:
    """To be called before one more client of this account begins a session with this tracker."""
    if connected >= SESSIONS_PER_ACCOUNT_MAX:
        raise Refusal(
            "over_quota",
            f"{connected} clients of this account are logged in, {SESSIONS_PER_ACCOUNT_MAX} is the limit; log one of "
            "them out, or all of them (revoke_sessions)",
        )
