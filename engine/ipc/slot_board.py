"""The memory behind the board of upload slots (swarm.upload_slots), shared by all workers of one client.

The memory has no name and dies with the last process that maps it. Not here: who gets a slot (swarm.upload_slots).
"""

import mmap
import os

from engine.swarm.upload_slots import SlotBoard


def create_board(rows: int) -> tuple[SlotBoard, int]:
    """A board with a row for each worker, and its descriptor to pass on, which the caller closes."""
    descriptor = os.memfd_create("shoal-slots", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, SlotBoard.size_bytes(rows))
    return slot_board(descriptor, rows), descriptor


def slot_board(descriptor: int, rows: int) -> SlotBoard:
    """The board in memory made by `create_board`; the descriptor is not needed afterwards."""
    return SlotBoard(rows, memoryview(mmap.mmap(descriptor, SlotBoard.size_bytes(rows))))
