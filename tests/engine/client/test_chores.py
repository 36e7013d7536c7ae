import asyncio

from engine.client.chores import Chores
from engine.errors import LocalError
from engine.reports import Event


async def test_an_expected_failure_is_told_and_does_not_touch_other_work() -> None:
    told, done = list[Event](), list[int]()
    chores = Chores(told.append)

    async def fail() -> None:
        raise LocalError("the disk is full", "no_space")

    async def work() -> None:
        done.append(1)

    chores.soon(fail())
    chores.soon(work())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [(event.code, str(event)) for event in told] == [("no_space", "the disk is full")]
    assert done == [1]


async def test_nothing_of_it_runs_after_close() -> None:
    chores = Chores(lambda event: None)
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    chores.soon(work())
    await asyncio.sleep(0)
    await chores.close()
    assert ended.is_set()
