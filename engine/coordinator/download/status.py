"""One download as it looks from outside at one moment: its state, its figures, and for whom it waits.

Invariant: a look changes nothing. Not here: what the state is (download), how it is said (engine.shell).
"""

import time

from engine.coordinator.download.download import Download
from engine.reports import DownloadStatus, UnreachedPeer


def status_of(download: Download) -> DownloadStatus:
    now_s, wanted, progress, error = time.monotonic(), download.wanted, download.progress, download.error
    waiting_for = _waiting_for(download, now_s)
    return DownloadStatus(
        group_id=wanted.group_id,
        name=wanted.name,
        path=str(wanted.target),
        state=download.state,
        size_bytes=wanted.manifest.geometry.size_bytes,
        verified_bytes=progress.verified_bytes,
        rate_bytes_per_s=progress.recent_rate() if download.is_active else progress.mean_rate(now_s),
        peers_connected=len(connected_peers(download, now_s)) if download.state == "downloading" else 0,
        bytes_by_peer=dict(progress.bytes_by_peer),
        seconds=progress.transfer_s(now_s),
        error=str(error) if error else None,
        error_code=error.code if error else None,
        checked_bytes=progress.checked_bytes,
        check_bytes=progress.check_bytes,
        wasted_bytes=progress.wasted_bytes,
        copied_from=download.copied_from,
        fetched_bytes=progress.fetched_bytes,
        reused_bytes=progress.verified_bytes - progress.fetched_bytes,
        waiting_s=progress.waiting_s(now_s),
        why_waiting=why_waiting(download, now_s),
        waiting_for=waiting_for,
    )


def why_waiting(download: Download, now_s: float) -> str | None:
    """A sentence; None while it moves, or waits for something else than peers."""
    if download.state != "waiting":
        return None
    return download.peer_book.explain(download.wanted.name, _waiting_for(download, now_s))


def connected_peers(download: Download, now_s: float) -> set[bytes]:
    """Thumbprints of those that have the file open for this client."""
    if download.fetching is None:
        return set()
    return {peer.thumbprint for peer, _ in download.fetching.snapshot(now_s)}


def _waiting_for(download: Download, now_s: float) -> tuple[UnreachedPeer, ...]:
    if download.state != "waiting":
        return ()
    return download.peer_book.waiting_for(connected_peers(download, now_s), now_s)
