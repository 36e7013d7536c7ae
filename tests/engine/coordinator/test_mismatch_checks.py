"""What others say of pieces keeps this client busy only so much."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from engine.coordinator import mismatch_checks
from engine.coordinator.mismatch_checks import MismatchChecks
from tests.testkit.builders import bounded


class Looks:
    """Counts the looks, each of which lasts until `go_on`."""

    def __init__(self) -> None:
        self.looked: list[tuple[int, int]] = []
        self.at_a_time = self.most_at_a_time = 0
        self.go_on = asyncio.Event()

    async def look(self, file_id: int, piece: int) -> None:
        self.at_a_time += 1
        self.most_at_a_time = max(self.most_at_a_time, self.at_a_time)
        await self.go_on.wait()
        self.looked.append((file_id, piece))
        self.at_a_time -= 1


async def settled(work: MismatchChecks) -> None:
    async with asyncio.timeout(5):
        while work._waiting:
            await asyncio.sleep(0)


async def test_a_piece_is_looked_at_once_a_minute_whoever_speaks_of_it() -> None:
    looks = Looks()
    looks.go_on.set()
    work = MismatchChecks(looks.look)
    assert work.heard(1, 7, "bob")
    await settled(work)
    assert not work.heard(1, 7, "bob")
    assert not work.heard(1, 7, "cy")
    assert work.heard(1, 8, "cy")
    assert work.heard(2, 7, "cy")
    work._looked_at_s[1, 7] -= mismatch_checks.PIECE_ONCE_IN_S
    assert work.heard(1, 7, "bob")
    await settled(work)


async def test_an_account_has_so_many_waiting_and_others_are_heard_beside_it() -> None:
    looks = Looks()
    work = MismatchChecks(looks.look)
    heard = [work.heard(1, piece, "mallory") for piece in range(10)]
    assert sum(heard) == mismatch_checks.WAITING_PER_ACCOUNT_MAX
    assert work.heard(1, 50, "bob")
    looks.go_on.set()
    await settled(work)
    assert looks.most_at_a_time == 1
    assert work.heard(1, 60, "mallory")
    await settled(work)


@given(said=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2000), st.sampled_from("abcdefghijkl")), max_size=300))
@bounded(20)
def test_whatever_is_said_what_waits_and_is_remembered_stays_bounded(said: list[tuple[int, int, str]]) -> None:
    async def say_all() -> None:
        looks = Looks()
        work = MismatchChecks(looks.look)
        for file_id, piece, user_id in said:
            work.heard(file_id, piece, user_id)
            assert work._waiting.total() <= mismatch_checks.WAITING_MAX
            assert len(work._looked_at_s) <= mismatch_checks.LOOKS_REMEMBERED_MAX
        looks.go_on.set()
        await settled(work)
        assert not work._waiting

    asyncio.run(say_all())
