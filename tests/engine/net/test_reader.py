import asyncio
from collections.abc import Callable

from engine.net.reader import Reader


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.001)


async def test_a_reader_that_stays_paused_is_called_slow_once() -> None:
    slow: list[bool] = []
    reader = Reader(0.01, lambda: slow.append(True))
    reader.pause()
    await until(lambda: reader.is_slow)
    reader.pause()
    await until(lambda: reader._timer is None)
    assert slow == [True]
    reader.resume()
    assert not reader.is_slow
    assert not reader.is_paused


async def test_a_reader_that_resumes_in_time_is_not_slow_however_often_it_pauses() -> None:
    slow: list[bool] = []
    reader = Reader(5.0, lambda: slow.append(True))
    for _ in range(100):
        reader.pause()
        await asyncio.sleep(0)
        reader.resume()
    assert not slow
    reader.close()


async def test_unread_bytes_are_counted_from_the_pause_on() -> None:
    reader = Reader(5.0, lambda: None)
    assert reader.count_unread(10) == 0
    reader.pause()
    assert [reader.count_unread(10), reader.count_unread(5)] == [10, 15]
    reader.resume()
    reader.pause()
    assert reader.count_unread(7) == 7
    reader.close()


async def test_only_a_paused_reader_can_be_stuck() -> None:
    reader = Reader(5.0, lambda: None)
    assert not reader.is_stuck(-1.0)
    reader.pause()
    assert reader.is_stuck(-1.0)
    assert not reader.is_stuck(60.0)
    reader.close()
