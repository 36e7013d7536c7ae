"""Every way in which a share can end, and of each: is its name free, or can somebody free it, and by what?

With whole clients and trackers of this process, on real sockets.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from engine.client.client import Client
from engine.errors import LocalError, RefusedByTracker, ShoalError
from engine.reports import Event, StopReport
from engine.settings import Settings
from tests.testkit.builders import write_content
from tests.tracker.conftest import Town

GROUP, NAME = "lab", "w.bin"
SIZE_BYTES = 300_000


class Place:
    """A tracker and its clients. `ann` published the file and shares it, `own` owns the group, `cy` is a member."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.town = Town(folder / "tracker")
        self.info = folder / "tracker_info.txt"
        self.events: list[Event] = []
        self._clients: list[Client] = []
        self._files = 0

    async def open(self) -> None:
        tracker = await self.town.open_tracker()
        self.port = tracker.address.port
        self.info.write_text(f"127.0.0.1 {self.port}\n")
        self.own, self.ann, self.cy = [await self.client(name) for name in ("own", "ann", "cy")]
        await self.own.create_group(GROUP)
        for client, name in ((self.ann, "ann"), (self.cy, "cy")):
            await client.join_group(GROUP)
            await self.own.accept_request(GROUP, name)
        self.file = self.new_file()
        await self.ann.upload_file(self.file, GROUP)

    async def client(self, user_id: str, state: str = "", *, is_new: bool = True) -> Client:
        client = await Client.start(
            "127.0.0.1", 0, self.info, self.folder / (state or user_id), settings=Settings(workers=1)
        )
        client.subscribe(self.events.append)
        self._clients.append(client)
        if is_new:
            await client.create_user(user_id, "pw")
        await client.login(user_id, "pw")
        return client

    def new_file(self) -> Path:
        self._files += 1
        folder = self.folder / f"files{self._files}"
        folder.mkdir()
        return write_content(folder / NAME, SIZE_BYTES)

    async def shut_tracker(self) -> None:
        await self.town.shut(self.town.trackers[0])

    async def open_tracker_again(self) -> None:
        await self.town.open_tracker(self.port)

    async def end(self, client: Client) -> None:
        self._clients.remove(client)
        await client.close()

    async def close(self) -> None:
        for client in self._clients:
            await client.close()
        for tracker in list(self.town.trackers):
            await self.town.shut(tracker)

    async def fetched_by(self, client: Client) -> None:
        self._files += 1
        folder = self.folder / f"copies{self._files}"
        folder.mkdir()
        await client.download_file(GROUP, NAME, folder)
        assert (await client.wait_download(GROUP, NAME)).state == "complete"

    async def is_listed(self) -> bool:
        return [entry.name for entry in (await self.own.list_files(GROUP)).files] == [NAME]

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(20):
            while not await is_so():
                await asyncio.sleep(0.02)

    async def has_ended_at_ann(self) -> bool:
        """A file is judged when nobody has written to it for a moment."""
        return not self.ann.show_shares()

    async def has_no_sharer(self) -> bool:
        return [entry.sharers_online for entry in (await self.own.list_files(GROUP)).files] == [0]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    await place.open()
    yield place
    await place.close()


async def code_of(work: Awaitable[object]) -> str:
    with pytest.raises(ShoalError) as caught:
        await work
    return caught.value.code


async def replaces(place: Place, client: Client) -> None:
    """This client frees the name by publishing another content under it."""
    report = await client.upload_file(place.new_file(), GROUP)
    assert report.has_replaced
    (listed,) = (await place.own.list_files(GROUP)).files
    assert (listed.root.hex(), listed.publisher, listed.sharers_online) == (report.root, client.user_id, 1)


async def withdraws(place: Place, client: Client) -> None:
    """This client frees the name without sharing the file."""
    assert await client.stop_share(GROUP, NAME) == StopReport(GROUP, NAME, is_removed=True, was_shared=False)
    assert not await place.is_listed()


Frees = Callable[[Place, Client], Awaitable[None]]
BOTH_WAYS = pytest.mark.parametrize("frees", [replaces, withdraws])


async def test_stop_share_frees_it_at_once(place: Place) -> None:
    assert await place.ann.stop_share(GROUP, NAME) == StopReport(GROUP, NAME, is_removed=True)
    assert not await place.is_listed()


async def test_stop_share_without_a_tracker_is_said_when_one_is_back_also_after_a_restart(place: Place) -> None:
    await place.shut_tracker()
    assert await place.ann.stop_share(GROUP, NAME) == StopReport(GROUP, NAME, is_removed=False, is_pending=True)
    await place.end(place.ann)
    await place.open_tracker_again()
    await place.until(place.is_listed)
    place.ann = await place.client("ann", is_new=False)

    async def is_free() -> bool:
        return not await place.is_listed()

    await place.until(is_free)

    async def is_said() -> bool:
        return "share_withdrawn" in [event.code for event in place.events]

    await place.until(is_said)


async def test_the_same_while_the_client_runs_on(place: Place) -> None:
    await place.shut_tracker()
    assert (await place.ann.stop_share(GROUP, NAME)).is_pending
    await place.open_tracker_again()

    async def is_free() -> bool:
        return not await place.is_listed()

    await place.until(is_free)


async def test_what_was_shared_again_meanwhile_is_not_withdrawn(place: Place) -> None:
    await place.shut_tracker()
    assert (await place.ann.stop_share(GROUP, NAME)).is_pending
    ledger = place.ann._ledger
    assert len(ledger.withdrawals_of("ann")) == 1
    await place.open_tracker_again()
    await place.ann.upload_file(place.file, GROUP)
    assert ledger.withdrawals_of("ann") == []
    assert [entry.sharers_online for entry in (await place.own.list_files(GROUP)).files] == [1]


@BOTH_WAYS
async def test_on_the_first_of_two_machines(place: Place, frees: Frees) -> None:
    second = await place.client("ann", "ann2", is_new=False)
    await second.upload_file(place.file, GROUP)
    stopped = await place.ann.stop_share(GROUP, NAME)
    assert stopped == StopReport(GROUP, NAME, is_removed=False, is_shared_elsewhere=True)
    assert await code_of(place.ann.stop_share(GROUP, NAME)) == "still_shared"
    assert await code_of(place.ann.upload_file(place.new_file(), GROUP)) == "file_conflict"
    await place.end(second)
    await frees(place, place.ann)


@BOTH_WAYS
@pytest.mark.parametrize("who", ["ann", "own"])
async def test_its_file_was_edited(place: Place, frees: Frees, who: str) -> None:
    write_content(place.file, SIZE_BYTES)
    await place.until(place.has_no_sharer)
    await frees(place, {"ann": place.ann, "own": place.own}[who])


async def test_an_edited_file_is_uploaded_again_at_once_as_the_notice_says(place: Place) -> None:
    write_content(place.file, SIZE_BYTES + 1)
    assert (await place.ann.upload_file(place.file, GROUP)).has_replaced
    await place.fetched_by(place.cy)


async def test_another_file_does_not_take_its_place_while_it_is_served(place: Place) -> None:
    other = place.new_file()
    with pytest.raises(LocalError, match=rf"from {place.file}; end that first \(stop_share lab w\.bin\)"):
        await place.ann.upload_file(other, GROUP)
    assert [share.path for share in place.ann.show_shares()] == [str(place.file)]
    await place.fetched_by(place.cy)
    await place.cy.stop_share(GROUP, NAME)
    place.file.unlink()
    assert (await place.ann.upload_file(other, GROUP)).has_replaced


async def test_a_file_that_was_only_touched_is_not_replaced_either(place: Place) -> None:
    place.file.touch()
    assert await code_of(place.ann.upload_file(place.new_file(), GROUP)) == "file_conflict"


async def test_its_file_was_renamed(place: Place) -> None:
    """The share follows it, under the name that the group knows."""
    place.file.rename(place.file.with_name("other.bin"))
    assert await place.ann.stop_share(GROUP, NAME) == StopReport(GROUP, NAME, is_removed=True)
    assert not await place.is_listed()


@BOTH_WAYS
async def test_its_file_was_deleted(place: Place, frees: Frees) -> None:
    place.file.unlink()
    await place.until(place.has_no_sharer)
    await frees(place, place.own)


async def test_its_file_was_deleted_and_its_sharer_frees_it(place: Place) -> None:
    place.file.unlink()
    await place.until(place.has_no_sharer)
    assert await place.ann.stop_share(GROUP, NAME) == StopReport(GROUP, NAME, is_removed=True)
    assert not await place.is_listed()
    assert not (await place.ann.upload_file(place.new_file(), GROUP)).was_known


@BOTH_WAYS
async def test_its_publisher_logged_out_and_never_comes_back(place: Place, frees: Frees) -> None:
    await place.end(place.ann)
    assert await code_of(place.cy.stop_share(GROUP, NAME)) == "not_shared"
    await frees(place, place.own)


@BOTH_WAYS
@pytest.mark.parametrize("is_removed", [True, False])
async def test_its_publisher_left_or_was_removed(place: Place, frees: Frees, is_removed: bool) -> None:
    if is_removed:
        await place.own.remove_member(GROUP, "ann")
    else:
        await place.ann.leave_group(GROUP)
    assert await code_of(place.ann.stop_share(GROUP, NAME)) in ("not_member", "not_shared")
    await frees(place, place.own)


@BOTH_WAYS
async def test_the_group_was_given_away(place: Place, frees: Frees) -> None:
    await place.own.transfer_ownership(GROUP, "cy")
    await place.end(place.ann)
    assert await code_of(place.own.stop_share(GROUP, NAME)) == "not_shared"
    await frees(place, place.cy)


@BOTH_WAYS
async def test_the_login_drops_it(place: Place, frees: Frees) -> None:
    await place.ann.logout()
    write_content(place.file, SIZE_BYTES)
    await place.ann.login("ann", "pw")
    await place.until(place.has_ended_at_ann)
    await frees(place, place.ann)


async def test_others_still_have_it(place: Place) -> None:
    await place.fetched_by(place.cy)
    assert await place.ann.stop_share(GROUP, NAME) == StopReport(GROUP, NAME, False, still_shared_by=["cy"])
    for client in (place.ann, place.own):
        assert await code_of(client.stop_share(GROUP, NAME)) == "still_shared"
        with pytest.raises(RefusedByTracker, match="cy still shares it"):
            await client.upload_file(place.new_file(), GROUP)
    assert await place.is_listed(), "nothing is taken from cy"
    assert await place.cy.stop_share(GROUP, NAME) == StopReport(GROUP, NAME, False)
    await withdraws(place, place.ann)


async def test_a_download_of_it_was_cancelled(place: Place) -> None:
    await place.ann.logout()
    folder = place.folder / "waiting"
    folder.mkdir()
    await place.cy.download_file(GROUP, NAME, folder)
    await place.cy.cancel_download(GROUP, NAME)
    await withdraws(place, place.own)


async def test_a_download_of_it_waits_for_ever(place: Place) -> None:
    await place.ann.logout()
    folder = place.folder / "waiting"
    folder.mkdir()
    await place.cy.download_file(GROUP, NAME, folder)
    await replaces(place, place.own)


async def test_each_is_told_what_concerns_him(place: Place) -> None:
    with pytest.raises(RefusedByTracker, match=r"ann published another file as 'w.bin' in lab; rename yours"):
        await place.cy.upload_file(place.new_file(), GROUP)
    with pytest.raises(LocalError, match="not yours to free: ann or own can withdraw it"):
        await place.cy.stop_share(GROUP, NAME)
    with pytest.raises(LocalError, match=r"does not share 'w.bin' in lab, but ann still shares it"):
        await place.own.stop_share(GROUP, NAME)
    second = await place.client("ann", "ann2", is_new=False)
    with pytest.raises(RefusedByTracker, match=r"^you published another file .* another client of yours"):
        await second.upload_file(place.new_file(), GROUP)


async def test_the_same_download_again_tells_what_the_first_took(place: Place) -> None:
    folder = place.folder / "again"
    folder.mkdir()
    await place.cy.download_file(GROUP, NAME, folder)
    first = await place.cy.wait_download(GROUP, NAME)
    again = await place.cy.download_file(GROUP, NAME, folder)
    assert again == first
    assert (again.state, again.fetched_bytes, again.reused_bytes) == ("complete", SIZE_BYTES, 0)
    assert again.rate_bytes_per_s > 0
    assert again.seconds > 0
    await place.cy.logout()
    await place.cy.login("cy", "pw")
    kept = await place.cy.download_file(GROUP, NAME, folder)
    assert (kept.state, kept.fetched_bytes, kept.reused_bytes) == ("complete", 0, SIZE_BYTES)
