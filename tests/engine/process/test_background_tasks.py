import asyncio
import gc

from engine.process.background_tasks import BackgroundTasks


async def test_a_task_that_nobody_holds_goes_on_to_its_end() -> None:
    tasks, done = BackgroundTasks(), asyncio.Event()

    async def work() -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, waiting.set_result, None)
        await waiting
        done.set()

    tasks.start(work())
    await asyncio.sleep(0)
    gc.collect()
    await asyncio.wait_for(done.wait(), 5)


async def test_the_result_of_a_task_is_there_for_a_caller_that_wants_it() -> None:
    async def work() -> int:
        return 7

    assert await BackgroundTasks().start(work()) == 7


async def test_after_cancelling_all_none_runs_any_more_whatever_they_raise() -> None:
    tasks, ends = BackgroundTasks(), list[str]()

    async def work(end: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ends.append(end)
            if end == "raises":
                raise ValueError

    for end in ("cancelled", "raises"):
        tasks.start(work(end))
    await asyncio.sleep(0)
    await tasks.cancel_all()
    assert sorted(ends) == ["cancelled", "raises"]
    await tasks.cancel_all()
