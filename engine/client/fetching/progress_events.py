"""Tells the subscribers how the downloads go on: a few times a second while one moves, and at once when its state
changes.

A download calls `on_change` for every sign of progress, far more often than a screen can show; the events are paced
here. Nothing runs here while no download moves.

Invariant: of each download the last event is a DownloadEnded, and none comes after that.
Not here: what the status is (coordinator.download.status).
"""

import asyncio
from dataclasses import dataclass

from engine.client.events import DownloadEnded, DownloadProgressed
from engine.client.subscribers import Subscribers
from engine.coordinator.download.download import Download
from engine.coordinator.download.status import status_of
from engine.reports import DownloadState

_EVERY_S, _EVERY_S_WHILE_WAITING = 0.2, 1.0


@dataclass(slots=True)
class _Told:
    state: DownloadState
    due: asyncio.Handle | None = None


class ProgressEvents:
    """Of all downloads of a client."""

    def __init__(self, subscribers: Subscribers) -> None:
        self._subscribers = subscribers
        self._told: dict[int, _Told] = {}

    def watch(self, download: Download) -> None:
        """From now on the progress of this download is told."""
        self._told[download.wanted.file_id] = _Told(download.state)
        download.progress.on_change = lambda: self._changed(download)

    def ended(self, download: Download) -> None:
        """The download does not run any more: tell its end, and nothing after that."""
        download.progress.on_change = lambda: None
        told = self._told.pop(download.wanted.file_id, None)
        if told is not None and told.due is not None:
            told.due.cancel()
        if told is not None and self._subscribers:
            self._subscribers.tell(DownloadEnded(status_of(download)))

    def _changed(self, download: Download) -> None:
        told = self._told.get(download.wanted.file_id)
        if told is None or not self._subscribers:
            return
        loop = asyncio.get_running_loop()
        if download.state != told.state:
            told.state = download.state
            if told.due is not None:
                told.due.cancel()
            told.due = loop.call_soon(self._tell, download, told)
        elif told.due is None:
            pause_s = _EVERY_S_WHILE_WAITING if told.state == "waiting" else _EVERY_S
            told.due = loop.call_later(pause_s, self._tell, download, told)

    def _tell(self, download: Download, told: _Told) -> None:
        told.due = None
        if download.is_active:
            self._subscribers.tell(DownloadProgressed(status_of(download)))
