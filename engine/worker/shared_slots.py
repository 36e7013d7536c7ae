"""One worker's view of the upload slots that all workers of a client share.

A slot that becomes free at another worker wakes nobody here, so a worker with waiting links looks for one.
Not here: who gets a slot (swarm.upload_slots), the memory behind it (ipc.slot_board).
"""

import asyncio
import time

from engine.net.piece_sender import PieceSender
from engine.swarm.upload_slots import SlotBoard, UploadSlots

_LOOK_S = 0.005


class SharedSlots(UploadSlots[PieceSender]):
    """While a link of this worker waits and there are other workers, looks every few milliseconds for a free slot."""

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
