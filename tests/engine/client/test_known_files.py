"""Which file a command means, whatever it is typed like."""

import unicodedata

from tests.engine.client.conftest import House
from tests.engine.client.fakes import GROUP, manifest_of

CONTENT = b"x" * 1000
NFC, NFD = (unicodedata.normalize(form, "é.bin") for form in ("NFC", "NFD"))


async def test_a_share_is_found_in_every_spelling(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file(NFC, CONTENT), GROUP)
    assert client._files.find("LAB", NFD) == (GROUP, NFC)


async def test_a_download_is_found_without_a_tracker(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    house.tracker.has("a.bin", manifest_of(CONTENT))
    await client.download_file(GROUP, "a.bin", house.folder)
    house.tracker.is_away()
    assert client._files.find("Lab", "a.bin") == (GROUP, "a.bin")
    await client.cancel_download("Lab", "a.bin")


async def test_what_is_not_known_stays_as_it_was_typed(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    assert client._files.find("LAB", "b.bin") == ("LAB", "b.bin")


async def test_two_names_of_one_content_are_two_files_and_one_swarm(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    for name in ("a.bin", "b.bin"):
        await client.upload_file(house.file(name, CONTENT), GROUP)
    assert set(client._shares.roots().values()) == {manifest_of(CONTENT).root}
    before = house.tracker.log.count("AnnounceChange")
    await client.stop_share(GROUP, "a.bin")
    assert client._files.find(GROUP, "b.bin") == (GROUP, "b.bin")
    assert house.tracker.log.count("AnnounceChange") == before + 1
    told = house.tracker.asked[-1]
    assert getattr(told, "removed", []) == [], "it is served under the other name"
