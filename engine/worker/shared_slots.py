"""Upload slots of all workers of one client: the memory behind their board (swarm.upload_slots), and one worker's view.

The memory has no name and dies with the last process that maps it.
"""

import asyncio
import mmap
import os
import time

from engine.net.piece_sender import PieceSender
from engine.swarm.upload_slots import SlotBoard, UploadSlots

_LOOK_S = 0.005


def create_board(rows: int) -> tuple[SlotBoard, int]:
    """A row for each worker, and the descriptor to pass on; the caller closes it."""
    descriptor = os.memfd_create("shoal-slots", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, SlotBoard.size_bytes(rows))
    return slot_board(descriptor, rows), descriptor


def slot_board(descriptor: int, rows: int) -> SlotBoard:
    """The board in memory made by `create_board`; the descriptor is not needed afterwards."""
    return SlotBoard(rows, memoryview(mmap.mmap(descriptor, SlotBoard.size_bytes(rows))))


class SharedSlots(UploadSlots[PieceSender]):
    """Looks every few milliseconds, while a link of this worker waits, whether a slot became free at another, if there
    is one.
    """

    def __init__(self, slot_count: int, board: SlotBoard, row: int) -> None:
        super().__init__(slot_count, board, row, on_wait=self._look_soon if board.rows > 1 else None)
        self._is_looking = False

    def _look_soon(self) -> None:
        if not self._is_looking:
            self._is_looking = True
            asyncio.get_running_loop().call_later(_LOOK_S, self._look)

    def _look(self) -> None:
        self._is_looking = False
        for link in self.due(time.monotonic()):
            link.start_piece()
        if self.is_waiting:
            self._look_soon()
