"""What one account may take up and how often it may ask: up to the limit, and not one more."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from tests.tracker.conftest import Person, another_tracker
from tracker.protocol import manifests, requests, results
from tracker.protocol.results import Done
from tracker.rules import quotas
from tracker.store import schema

if TYPE_CHECKING:
    from tests.tracker.conftest import Clock, Office

PIECE = 1 << 18
NOTHING = results.Groups([])


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("GROUPS_PER_ACCOUNT_MAX", 2),
        ("FILES_PER_ACCOUNT_MAX", 3),
        ("MANIFEST_BYTES_PER_ACCOUNT_MAX", 320),
        ("JOIN_REQUESTS_PER_ACCOUNT_MAX", 2),
        ("SESSIONS_PER_ACCOUNT_MAX", 3),
    ):
        assert getattr(quotas, name) > value
        monkeypatch.setattr(quotas, name, value)


def a_file(group_id: str, name: str, piece_count: int = 1) -> manifests.Publish:
    return manifests.Publish(group_id, name, piece_count * PIECE, PIECE, bytes(32), bytes(32 * piece_count))


async def refusal(person: Person, request: requests.Request) -> str:
    """The sentence of the refusal for the quota."""
    answer = await person.ask(request)
    assert isinstance(answer, results.Refused), answer
    assert answer.code == "over_quota"
    return answer.message


async def counted(office: "Office", user_id: str) -> tuple[int, int]:
    async with office.store.reading() as db:
        account = schema.accounts.c
        row = (await db.execute(select(schema.accounts).where(account.user_id == user_id))).one()
        real = await db.scalar(
            select(func.count()).select_from(schema.files).where(schema.files.c.publisher == user_id)
        )
        assert row.files_published == real
        return row.files_published, row.manifest_bytes


async def test_an_account_owns_so_many_groups_made_or_given_to_it(office: "Office") -> None:
    ann, bob = await office.gather("one", "ann", "bob")
    assert await ann.ask(requests.CreateGroup("two")) == Done()
    assert "2 is the limit" in await refusal(ann, requests.CreateGroup("three"))
    assert await bob.ask(requests.CreateGroup("three")) == Done()
    assert await ann.ask(requests.TransferOwnership("one", "bob")) == Done("one", "bob")
    assert await ann.ask(requests.CreateGroup("four")) == Done()
    await bob.ask(requests.JoinGroup("four"))
    await ann.ask(requests.AcceptRequest("four", "bob"))
    assert "bob owns 2 groups" in await refusal(ann, requests.TransferOwnership("four", "bob"))
    # Nobody is held in a group by another's quota.
    assert await ann.ask(requests.LeaveGroup("four")) == results.Left("bob", False)
    assert await bob.ask(requests.LeaveGroup("three")) == results.Left(None, True)


async def test_an_account_asks_to_join_so_many_groups_at_a_time(office: "Office") -> None:
    ann, _ = await office.gather("one", "ann", "bob")
    bob, eve = await office.enter("bobby"), await office.enter("eve")
    await ann.ask(requests.CreateGroup("two"))
    await bob.ask(requests.CreateGroup("three"))
    for group_id in ("one", "two"):
        assert await eve.ask(requests.JoinGroup(group_id)) == Done(group_id)
    assert "wait until" in await refusal(eve, requests.JoinGroup("three"))
    assert await ann.ask(requests.RejectRequest("two", "eve")) == Done("two", "eve")
    assert await eve.ask(requests.JoinGroup("three")) == Done("three")


async def test_an_account_publishes_so_many_files_in_all_groups_and_trackers_together(office: "Office") -> None:
    (ann,) = await office.gather("one", "ann")
    await ann.ask(requests.CreateGroup("two"))
    there = another_tracker(office).stranger()
    await there.login("ann", "pw ann")
    for person, group_id, name in ((ann, "one", "a"), (there, "two", "a"), (ann, "two", "b")):
        assert await person.ask(a_file(group_id, name)) == manifests.Published(False)
    assert "stop_share" in await refusal(there, a_file("one", "c"))
    assert await ann.ask(a_file("one", "a")) == manifests.Published(True), "no new one"
    assert await ann.ask(requests.Withdraw("two", "b")) == results.Withdrawn(True)
    assert await there.ask(a_file("one", "c")) == manifests.Published(False)
    assert await counted(office, "ann") == (3, 96)


async def test_an_account_fills_so_many_bytes_with_manifests(office: "Office") -> None:
    ann, bob = await office.gather("one", "ann", "bob")
    assert await ann.ask(a_file("one", "a", 6)) == manifests.Published(False)
    assert "is the limit" in await refusal(ann, a_file("one", "b", 5))
    assert await counted(office, "ann") == (1, 192)
    assert await ann.ask(a_file("one", "b", 4)) == manifests.Published(False)
    assert await bob.ask(a_file("one", "c", 10)) == manifests.Published(False), "somebody else's are not counted"
    # Whoever removes it, it counts as the publisher's.
    assert await ann.ask(requests.Withdraw("one", "c")) == results.Withdrawn(True)
    assert await counted(office, "bob") == (0, 0)


async def test_what_ends_with_its_group_is_given_back_to_everybody(office: "Office") -> None:
    ann, bob = await office.gather("one", "ann", "bob")
    await ann.ask(a_file("one", "a", 2))
    await bob.ask(a_file("one", "b", 3))
    await bob.ask(a_file("one", "empty", 0))
    assert await counted(office, "bob") == (2, 96)
    await bob.ask(requests.LeaveGroup("one"))
    assert await counted(office, "bob") == (2, 96)
    await ann.ask(requests.LeaveGroup("one"))
    assert await counted(office, "ann") == await counted(office, "bob") == (0, 0)


async def test_so_many_clients_of_an_account_have_a_session_and_one_that_ends_makes_room(office: "Office") -> None:
    ann = await office.enter("ann")
    people = [office.stranger() for _ in range(2)]
    for person in people:
        assert isinstance(await person.login("ann", "pw ann"), results.LoggedIn)
    late = office.stranger()
    refused = await late.login("ann", "pw ann")
    assert isinstance(refused, results.Refused)
    assert refused.code == "over_quota"
    again = office.stranger()
    again.key = people[0].key  # a connection that its client has lost and the tracker has not
    assert isinstance(await again.login("ann", "pw ann"), results.LoggedIn)
    assert await ann.ask(requests.Logout()) == Done()
    assert isinstance(await late.login("ann", "pw ann"), results.LoggedIn)


async def test_an_account_that_asks_too_fast_waits_then_is_refused_and_nobody_else(office: "Office") -> None:
    ann, bob = await office.enter("ann"), await office.enter("bob")
    paces = office.service._paces
    now_s = office.clock.now_s
    while paces.take("ann", now_s) == 0:
        pass
    waiting = [asyncio.create_task(ann.ask(requests.ListGroups())) for _ in range(3)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    assert await bob.ask(requests.ListGroups()) == NOTHING
    assert await asyncio.gather(*waiting) == [NOTHING] * 3
    while paces.take("ann", now_s) is not None:
        pass
    assert await ann.code(requests.ListGroups()) == "throttled"
    assert await bob.ask(requests.ListGroups()) == NOTHING
    office.clock.now_s += 1
    assert await ann.ask(requests.ListGroups()) == NOTHING


async def test_strangers_of_one_address_ask_so_often_whatever_they_ask(office: "Office", clock: "Clock") -> None:
    stranger, other = office.stranger("192.0.2.7"), office.stranger("192.0.2.8")
    while office.service._paces.take("stranger 192.0.2.7", clock.now_s) is not None:
        pass
    assert await stranger.code(requests.ListGroups()) == "throttled"
    assert await other.code(requests.ListGroups()) == "not_logged_in"
