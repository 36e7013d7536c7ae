import hashlib
import random
from collections.abc import Sequence

import pytest

from tests.tracker.conftest import Clock, Office, Person
from tracker.protocol import manifests, requests, results
from tracker.protocol.types import LEAF_BYTES, PAGE_BYTES, PIECE_BYTES_MAX, PIECE_COUNT_MAX
from tracker.settings import STAGED_PAGE_LIFE_S
from tracker.store import manifest_pages

LEAVES_A_PAGE = PAGE_BYTES // LEAF_BYTES
ROOT = b"\x07" * 32


def cut(leaves: bytes) -> list[bytes]:
    return [leaves[start : start + PAGE_BYTES] for start in range(0, len(leaves), PAGE_BYTES)]


def some_pages(piece_count: int, seed: int = 1) -> list[bytes]:
    return cut(random.Random(seed).randbytes(piece_count * LEAF_BYTES))


def publish_of(pages: Sequence[bytes], piece_count: int | None = None, name: str = "data") -> manifests.Publish:
    count = piece_count or sum(map(len, pages)) // LEAF_BYTES
    digests = [hashlib.sha256(page).digest() for page in pages]
    return manifests.Publish("lab", name, count * PIECE_BYTES_MAX, PIECE_BYTES_MAX, ROOT, b"", digests)


async def put(person: Person, pages: Sequence[bytes], group_id: str = "lab") -> None:
    for page in pages:
        assert await person.ask(manifests.PutPage(group_id, page)) == results.Done()


async def fetch(person: Person, page_count: int, name: str = "data") -> list[bytes]:
    first = await person.ask(manifests.FetchManifest("lab", name))
    assert isinstance(first, manifests.Manifest)
    pages = [first.leaves]
    for number in range(1, page_count):
        page = await person.ask(manifests.FetchPage("lab", name, ROOT, number))
        assert isinstance(page, manifests.Page)
        pages.append(page.leaves)
    return pages


async def count(office: Office, table: str) -> int:
    async with office.store.reading() as db:
        return len((await db.execute(getattr(manifest_pages, table).select())).all())


async def test_a_manifest_of_a_million_pieces_is_put_and_fetched_in_pages(office: Office) -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    pages = some_pages(PIECE_COUNT_MAX)
    publish = publish_of(pages)
    assert await ann.ask(publish) == manifests.Published(False, list(range(len(pages))))
    await put(ann, pages)
    assert await ann.ask(publish) == manifests.Published(False)
    assert await fetch(bob, len(pages)) == pages
    assert await count(office, "staged_pages") == 0


async def test_pages_come_in_any_order_and_twice(office: Office) -> None:
    (ann,) = await office.gather("lab", "ann")
    pages = some_pages(3 * LEAVES_A_PAGE - 7)
    await put(ann, [*reversed(pages), pages[0]])
    assert await ann.ask(publish_of(pages)) == manifests.Published(False)
    assert await fetch(ann, 3) == pages


async def test_equal_pages_are_put_once(office: Office) -> None:
    """As of a file of zeros."""
    (ann,) = await office.gather("lab", "ann")
    pages = [bytes(PAGE_BYTES)] * 3
    await put(ann, pages[:1])
    assert await ann.ask(publish_of(pages)) == manifests.Published(False)
    assert await fetch(ann, 3) == pages


async def test_a_publishing_that_was_broken_off_goes_on_where_it_was(office: Office) -> None:
    (ann,) = await office.gather("lab", "ann")
    pages = some_pages(4 * LEAVES_A_PAGE)
    await put(ann, [pages[0], pages[2]])
    assert await ann.ask(publish_of(pages)) == manifests.Published(False, [1, 3])
    assert await ann.code(manifests.FetchManifest("lab", "data")) == "no_such_file"


async def test_what_is_known_needs_no_pages(office: Office) -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    pages = some_pages(2 * LEAVES_A_PAGE)
    await put(ann, pages)
    await ann.ask(publish_of(pages))
    assert await bob.ask(publish_of(pages)) == manifests.Published(True)
    assert await bob.code(publish_of(pages[::-1])) == "file_conflict"


async def test_pages_of_wrong_number_or_length_publish_nothing(office: Office) -> None:
    (ann,) = await office.gather("lab", "ann")
    pages = some_pages(2 * LEAVES_A_PAGE)
    short, long = pages[0][:-LEAF_BYTES], pages[0]
    await put(ann, [*pages, short])
    needed = 2 * LEAVES_A_PAGE
    assert await ann.code(publish_of(pages[:1], needed)) == "bad_request"
    assert await ann.code(publish_of([*pages, long], needed)) == "bad_request"
    assert await ann.code(publish_of([], needed)) == "bad_request"
    assert await ann.code(publish_of(pages, 5)) == "bad_request"
    assert await ann.ask(publish_of([short, pages[1]], needed)) == manifests.Published(False, [0])
    assert await ann.ask(publish_of([pages[0], long], needed - 1)) == manifests.Published(False, [1])
    assert await ann.code(manifests.FetchManifest("lab", "data")) == "no_such_file"


async def test_nobody_publishes_pages_that_others_put(office: Office) -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    pages = some_pages(2 * LEAVES_A_PAGE)
    await put(ann, pages)
    assert await bob.ask(publish_of(pages)) == manifests.Published(False, [0, 1])


async def test_pages_are_for_members_and_of_the_manifest_that_was_seen(office: Office) -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    (eve,) = await office.gather("den", "eve")
    pages = some_pages(2 * LEAVES_A_PAGE)
    await put(ann, pages)
    await ann.ask(publish_of(pages))
    assert await eve.code(manifests.PutPage("lab", pages[0])) == "not_member"
    assert await eve.code(manifests.FetchPage("lab", "data", ROOT, 1)) == "not_member"
    assert await bob.code(manifests.FetchPage("lab", "data", b"\x08" * 32, 1)) == "no_such_file"
    assert await bob.code(manifests.FetchPage("lab", "data", ROOT, 2)) == "bad_request"


async def test_pages_go_with_their_file(office: Office) -> None:
    (ann,) = await office.gather("lab", "ann")
    pages = some_pages(2 * LEAVES_A_PAGE)
    await put(ann, pages)
    await ann.ask(publish_of(pages))
    assert await ann.ask(requests.Withdraw("lab", "data")) == results.Withdrawn(True)
    assert await count(office, "pages") == 0


async def test_a_flood_of_pages_is_bounded_and_ends_with_time(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_pages, "STAGED_PAGES_PER_ACCOUNT_MAX", 4)
    monkeypatch.setattr(manifest_pages, "STAGED_PAGES_MAX", 6)
    ann, bob, eve = await office.gather("lab", "ann", "bob", "eve")
    flood = [number.to_bytes(LEAF_BYTES, "big") for number in range(20)]
    for page in flood[:10]:
        clock.now_s += 1
        await put(ann, [page])
    assert await count(office, "staged_pages") == 4
    for page in flood[10:]:
        clock.now_s += 1
        await put(bob, [page])
        await put(eve, [page])
    assert await count(office, "staged_pages") == 6
    clock.now_s += STAGED_PAGE_LIFE_S + 1
    await put(ann, flood[:1])
    assert await count(office, "staged_pages") == 1


async def test_what_a_flood_of_ones_own_drove_out_is_asked_for_again(
    office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest_pages, "STAGED_PAGES_PER_ACCOUNT_MAX", 2)
    (ann,) = await office.gather("lab", "ann")
    pages = some_pages(2 * LEAVES_A_PAGE)
    for page in [*pages, b"\x01" * LEAF_BYTES]:
        clock.now_s += 1
        await put(ann, [page])
    clock.now_s += 1
    assert await ann.ask(publish_of(pages)) == manifests.Published(False, [0])
    await put(ann, pages[:1])
    assert await ann.ask(publish_of(pages)) == manifests.Published(False)
