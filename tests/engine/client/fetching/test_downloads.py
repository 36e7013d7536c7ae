"""What becomes of a download: begun, complete, failed, given up, put out and let in, over logout and login."""

import asyncio
from pathlib import Path

import pytest

from engine.client.client import Client
from engine.client.events import DownloadEnded
from engine.client.fetching import held_downloads
from engine.errors import LocalError, RefusedByTracker, StorageError
from engine.storage import file_names
from tests.engine.client.conftest import House
from tests.engine.client.fakes import GROUP, manifest_of
from tracker.protocol import events, manifests, requests

CONTENT = b"x" * 300_000
MANIFEST = manifest_of(CONTENT)
KEY = (GROUP, "a.bin")


async def logged_in(house: House) -> Client:
    client = await house.client()
    await client.login("ann", "pw")
    house.tracker.has("a.bin", MANIFEST)
    return client


async def begun(house: House) -> Client:
    client = await logged_in(house)
    status = await client.download_file(GROUP, "a.bin", house.folder)
    assert status.state == "checking"
    return client


async def settled(client: Client) -> None:
    """Until the client has done what it began by itself."""
    while client._chores._tasks._tasks:
        await asyncio.wait(client._chores._tasks._tasks)


def part_of(house: House) -> Path:
    return file_names.part_path(house.folder / "a.bin", MANIFEST.root)


async def test_it_is_in_the_ledger_from_its_first_moment_and_announced_as_partial(house: House) -> None:
    client = await begun(house)
    (kept,) = client._ledger.downloads_of("ann")
    assert (kept.key, kept.target, kept.has_part) == (KEY, str(house.folder / "a.bin"), True)
    assert house.tracker.asked[-1] == requests.AnnounceChange([requests.Share(GROUP, MANIFEST.root, False, False)], [])


async def test_a_complete_one_is_a_share_and_no_download_any_more(house: House) -> None:
    client = await begun(house)
    waiting = asyncio.ensure_future(client.wait_download(GROUP, "a.bin"))
    await asyncio.sleep(0)
    await house.coordinator(client).complete(house.download(client, KEY), CONTENT)
    assert (await waiting).state == "complete"
    assert [share.state for share in client.show_shares()] == ["served"]
    assert client._ledger.downloads_of("ann") == []
    assert house.tracker.asked[-1] == requests.AnnounceChange([requests.Share(GROUP, MANIFEST.root, True, True)], [])
    assert [event.status.state for event in house.events if isinstance(event, DownloadEnded)] == ["complete"]


async def test_the_same_wish_twice_is_one_download(house: House) -> None:
    client = await begun(house)
    await client.download_file("LAB", "a.bin", house.folder)
    assert len(client.show_downloads()) == 1
    assert len(house.coordinator(client).fetched_from) == 1
    assert house.codes() == ["tracker_trusted", "download_followed"]


async def test_to_another_place_it_is_refused_while_it_runs(house: House) -> None:
    client = await begun(house)
    (house.folder / "other").mkdir()
    with pytest.raises(LocalError) as caught:
        await client.download_file(GROUP, "a.bin", house.folder / "other")
    assert caught.value.code == "downloading"


async def test_a_file_that_is_there_already_is_compared_and_shared(house: House) -> None:
    client = await logged_in(house)
    house.file("a.bin", CONTENT)
    assert (await client.download_file(GROUP, "a.bin", house.folder)).state == "complete"
    assert [share.path for share in client.show_shares()] == [str(house.folder / "a.bin")]
    assert house.coordinator(client).fetched_from == []


async def test_another_file_in_its_place_is_never_touched(house: House) -> None:
    client = await logged_in(house)
    path = house.file("a.bin", b"mine")
    with pytest.raises(LocalError) as caught:
        await client.download_file(GROUP, "a.bin", house.folder)
    assert (caught.value.code, path.read_bytes()) == ("target_exists", b"mine")
    assert client._ledger.downloads_of("ann") == []


async def test_what_a_refusal_made_is_taken_away_again(house: House) -> None:
    client = await logged_in(house)
    house.tracker.refuse(manifests.FetchManifest, "no_such_file")
    with pytest.raises(RefusedByTracker):
        await client.download_file(GROUP, "a.bin", f"{house.folder}/new/")
    assert not (house.folder / "new").exists()
    assert client._ledger.downloads_of("ann") == []


async def test_a_failed_one_is_told_if_nobody_waits_for_it_and_can_be_given_up(house: House) -> None:
    client = await begun(house)
    await house.coordinator(client).fail(house.download(client, KEY), StorageError("the disk broke", "storage"))
    assert house.codes()[-1] == "download_failed"
    assert [status.error for status in client.show_downloads()] == ["the disk broke"]
    await client.cancel_download(GROUP, "a.bin")
    assert not part_of(house).exists()
    assert client._ledger.downloads_of("ann") == []


async def test_who_waits_hears_of_a_failure_as_the_answer_only(house: House) -> None:
    client = await begun(house)
    waiting = asyncio.ensure_future(client.wait_download(GROUP, "a.bin"))
    await asyncio.sleep(0)
    await house.coordinator(client).fail(house.download(client, KEY), StorageError("the disk broke", "storage"))
    assert (await waiting).error == "the disk broke"
    assert "download_failed" not in house.codes()


async def test_a_cancelled_one_leaves_nothing_and_is_cancelled_for_all_who_wait(house: House) -> None:
    client = await begun(house)
    waiting = asyncio.ensure_future(client.wait_download(GROUP, "a.bin"))
    await asyncio.sleep(0)
    await client.cancel_download("Lab", "a.bin")
    assert (await waiting).state == "cancelled"
    assert not part_of(house).exists()
    assert client._ledger.downloads_of("ann") == []
    assert house.tracker.asked[-1] == requests.AnnounceChange([], [requests.Share(GROUP, MANIFEST.root, False, False)])
    with pytest.raises(LocalError) as caught:
        await client.cancel_download(GROUP, "a.bin")
    assert caught.value.code == "no_such_download"


async def test_a_logout_pauses_it_and_the_next_login_goes_on(house: House) -> None:
    client = await begun(house)
    waiting = asyncio.ensure_future(client.wait_download(GROUP, "a.bin"))
    await asyncio.sleep(0)
    await client.logout()
    assert (await waiting).state == "paused"
    assert part_of(house).exists()
    assert (await client.login("ann", "pw")).downloads_resumed == 1
    assert [status.state for status in client.show_downloads()] == ["checking"]


async def test_another_account_sees_nothing_of_it(house: House) -> None:
    client = await begun(house)
    await client.logout()
    assert (await client.login("bob", "pw")).downloads_resumed == 0
    assert client.show_downloads() == []


async def test_a_part_file_that_is_away_is_not_made_anew(house: House) -> None:
    client = await begun(house)
    await client.logout()
    part_of(house).unlink()
    await client.login("ann", "pw")
    (status,) = client.show_downloads()
    assert (status.state, status.error_code) == ("stuck", "part_gone")
    assert "download_stuck" in house.codes()
    assert not part_of(house).exists()
    await client.cancel_download(GROUP, "a.bin")
    assert client.show_downloads() == []


async def test_a_removed_member_keeps_what_came_and_goes_on_when_let_in_again(house: House) -> None:
    client = await begun(house)
    client._router.on_event(events.GroupEpoch(GROUP, 2, "ann"))
    async with asyncio.timeout(10):
        while [status.state for status in client.show_downloads()] != ["failed"]:
            await asyncio.sleep(0)
    await settled(client)
    assert part_of(house).exists()
    assert {"left_group", "download_failed"} <= set(house.codes())
    client._router.on_event(events.RequestAnswered(GROUP, is_accepted=True))
    await settled(client)
    assert [status.state for status in client.show_downloads()] == ["checking"]
    assert house.codes()[-1] == "download_resumed"


async def test_leaving_a_group_gives_up_what_was_begun_of_it(house: House) -> None:
    client = await begun(house)
    await client.leave_group(GROUP)
    assert not part_of(house).exists()
    assert client._ledger.downloads_of("ann") == []


async def test_what_no_tracker_answers_for_at_login_is_tried_again_by_itself(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(held_downloads, "_TRY_AGAIN_S", 0.002)
    client = await begun(house)
    await client.logout()
    answers = dict(house.tracker.answers)
    house.tracker.is_away()
    await client.login("ann", "pw")
    assert [status.state for status in client.show_downloads()] == ["paused"]
    house.tracker.answers = answers
    async with asyncio.timeout(10):
        while house.codes()[-1] != "download_resumed":
            await asyncio.sleep(0.001)
    assert [status.state for status in client.show_downloads()] == ["checking"]
