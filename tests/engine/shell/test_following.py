import asyncio
import time
from typing import TYPE_CHECKING, cast

import pytest

from engine.client.client import Client
from engine.client.events import DownloadProgressed
from engine.errors import LocalError, ShoalError
from engine.reports import DownloadStatus
from engine.shell.following import finish_download

if TYPE_CHECKING:
    from tests.engine.shell.conftest import Bench


async def begin(bench: "Bench", name: str) -> DownloadStatus:
    await bench.run("create_user alice pw", "login alice pw")
    return await bench.client.download_file("lab", name, "/data")


async def test_it_returns_when_the_client_says_that_it_is_complete(bench: "Bench") -> None:
    status = await begin(bench, "good.bin")
    result = await finish_download(cast(Client, bench.client), bench.runner.context.output, status)
    assert result.fields["state"] == "complete"
    assert len(bench.client._subscribers) == 1, "the output alone"


async def test_a_failure_has_the_code_of_the_download(bench: "Bench") -> None:
    status = await begin(bench, "broken.bin")
    with pytest.raises(ShoalError) as caught:
        await finish_download(cast(Client, bench.client), bench.runner.context.output, status)
    assert caught.value.code == "gone"
    assert len(bench.client._subscribers) == 1


async def test_time_that_is_up_ends_the_following_and_not_the_download(bench: "Bench") -> None:
    status = await begin(bench, "endless.bin")
    with pytest.raises(LocalError) as caught:
        await finish_download(cast(Client, bench.client), bench.runner.context.output, status, time.monotonic() + 0.05)
    assert caught.value.code == "timeout"
    assert [each.state for each in bench.client.show_downloads()] == ["downloading"]
    assert len(bench.client._subscribers) == 1


async def test_one_that_follows_another_of_the_same_content_says_so_once(json_bench: "Bench") -> None:
    status = await begin(json_bench, "endless.bin")
    following = asyncio.ensure_future(
        finish_download(cast(Client, json_bench.client), json_bench.runner.context.output, status)
    )
    await asyncio.sleep(0)
    for name in ("endless.bin", "other.bin", "endless.bin"):
        follows = DownloadStatus("lab", name, "/e", "following", 9, 0, 0.0, 0, {}, 0.0, copied_from="/data/one.bin")
        json_bench.client._subscribers.tell(DownloadProgressed(follows))
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    (notice,) = [record for record in json_bench.records if "notice" in record]
    assert notice["notice"] == "download_following"
    assert notice["message"].startswith("endless.bin has the same content as /data/one.bin")
