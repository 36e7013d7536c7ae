"""The power goes at any moment: a piece that the journal names is on the disk, right to the last byte.

The real journal and checkpoints run on a disk that forgets what was not synced (power_loss). Pieces are small, so that
much happens; nothing in either depends on their size.
"""

import random
import secrets
from pathlib import Path

import numpy as np
import pytest

from engine.coordinator.download import checkpoints
from engine.coordinator.download.checkpoints import Checkpoints
from engine.settings import Settings
from engine.storage import journal
from engine.storage.journal import Journal
from engine.swarm.geometry import Geometry
from tests.faults.power_loss import PowerLoss, PowerLossDisk

POINTS = 200
LIVES = 3
PIECES = 24
STRIDE_BYTES = 2000
"""Of a piece in this test: not a multiple of a sector."""
GEOMETRY = Geometry(PIECES << 18, 1 << 18)
ROOT = bytes(32)
PART, JOURNAL = Path("/data/.file.part"), Path("/data/.file.part.journal")


class Life:
    """From one start of the machine to the next: pieces arrive in any order, now and then there is a checkpoint."""

    def __init__(self, disk: PowerLossDisk, chance: random.Random, whole: list[bytes]) -> None:
        self.disk, self.chance, self.whole = disk, chance, whole
        self.have = np.zeros(PIECES, np.uint8)

    async def run(self, patch: pytest.MonkeyPatch) -> None:
        for module in (journal, checkpoints):
            patch.setattr(module, "os", self.disk)
        patch.setattr(checkpoints, "WriteBehind", lambda *_: None)  # advice to the kernel
        patch.setattr(journal, "allocate", self.disk.allocate)
        patch.setattr(journal, "sync_folder", self.disk.sync_folder)
        self.part = self.disk.open(PART, 66)
        self.disk.allocate(self.part, PIECES * STRIDE_BYTES)
        self.disk.sync_folder(PART.parent)
        self._start()
        keeper = Checkpoints(self.journal, self.part, self.have, Settings())
        # Workers go on writing while a checkpoint syncs; what they finish then must wait for the next one.
        self.disk.on_sync = lambda path: self._receive(self.chance.randrange(3))
        await keeper.save(0.0)
        while not self.have.all():
            self._receive(self.chance.randrange(1, 5))
            await keeper.save(0.0)
        await keeper.save(0.0, is_clean=True)

    def _start(self) -> None:
        """Believe the journal, as a resumed download does, after looking whether it may be believed."""
        self.journal = Journal(JOURNAL, ROOT, GEOMETRY)
        saved = self.journal.load()
        if saved is not None:
            self.have[:] = saved.have(PIECES)
            for piece in np.flatnonzero(self.have).tolist():
                assert self._on_disk(piece) == self.whole[piece], f"piece {piece} is named but not there"

    def _receive(self, count: int) -> None:
        """Blocks arrive; a piece that is whole gets its bit."""
        missing = np.flatnonzero(self.have == 0).tolist()
        for piece in self.chance.sample(missing, min(count, len(missing))):
            data, done = memoryview(self.whole[piece]), 0
            while done < len(data):
                done += self.disk.pwrite(self.part, data[done:], piece * STRIDE_BYTES + done)
            self.have[piece] = 1

    def _on_disk(self, piece: int) -> bytes:
        return self.disk.pread(self.part, STRIDE_BYTES, piece * STRIDE_BYTES)


async def live_through_power_cuts(seed: int) -> int:
    """How many cuts there were; raises AssertionError if a named piece was wrong."""
    chance = random.Random(seed)
    whole = [chance.randbytes(STRIDE_BYTES) for _ in range(PIECES)]
    disk, cuts = PowerLossDisk(chance, chance.randrange(150)), 0
    for _ in range(LIVES):
        with pytest.MonkeyPatch.context() as patch:
            try:
                await Life(disk, chance, whole).run(patch)
            except PowerLoss:
                cuts += 1
        disk = disk.after_the_cut(chance.randrange(150))
    with pytest.MonkeyPatch.context() as patch:
        disk = disk.after_the_cut(10**9)
        await Life(disk, chance, whole).run(patch)  # in the end it completes
    return cuts


async def test_a_piece_in_the_journal_is_never_wrong_after_a_power_cut() -> None:
    first = secrets.randbelow(1 << 32)
    print(f"seeds {first} to {first + POINTS - 1}")
    cuts = 0
    for seed in range(first, first + POINTS):
        try:
            cuts += await live_through_power_cuts(seed)
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
    print(f"{cuts} power cuts")
    assert cuts >= POINTS


@pytest.mark.parametrize("fault", ["data is not synced", "bits are read after the sync"])
async def test_this_test_would_notice(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two ways to get the order wrong are found within as many points."""
    if fault == "data is not synced":
        honest = PowerLossDisk.fdatasync

        def lazy(self: PowerLossDisk, descriptor: int) -> None:
            if self._descriptors[descriptor] != str(PART):
                honest(self, descriptor)

        monkeypatch.setattr(PowerLossDisk, "fdatasync", lazy)
    else:
        honest_save = Checkpoints._sync_and_save

        def late(self: Checkpoints, have: object, is_clean: bool) -> None:
            honest_save(self, self._have, is_clean)

        monkeypatch.setattr(Checkpoints, "_sync_and_save", late)

    async def look_everywhere() -> None:
        for seed in range(POINTS):
            await live_through_power_cuts(seed)

    with pytest.raises(AssertionError, match="is named but not there"):
        await look_everywhere()
