"""Whom in the client each word of a tracker concerns."""

import asyncio
from typing import cast

import pytest

from engine.client.client import Client
from engine.client.session import peer_address
from tests.engine.client.conftest import House
from tests.engine.client.fakes import GROUP, FakeTrackerClient, manifest_of
from tracker.protocol import events, requests, results

CONTENT = b"x" * 1000
ROOT = manifest_of(CONTENT).root
PEER = events.Peer("bob", "192.0.2.1", 7000, bytes(32), is_complete=True)


async def sharing(house: House) -> Client:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    return client


async def settled(client: Client) -> None:
    while client._chores._tasks._tasks:
        await asyncio.wait(client._chores._tasks._tasks)


async def test_a_peer_that_joins_is_handed_to_the_coordinator(house: House) -> None:
    client = await sharing(house)
    client._router.on_event(events.PeerJoined(GROUP, ROOT, PEER))
    assert house.coordinator(client).joined == [(GROUP, ROOT, peer_address(PEER))]


@pytest.mark.parametrize(
    ("event", "code", "sentence"),
    [
        (events.OwnerChanged(GROUP, "bob"), "owner_changed", "lab belongs to bob now"),
        (events.RequestArrived(GROUP, "bob"), "request_arrived", "bob asks to join lab: accept_request lab bob"),
        (events.RequestAnswered(GROUP, True), "request_answered", "you are a member of lab"),
        (events.RequestAnswered(GROUP, False), "request_answered", "you were not let into lab"),
    ],
)
async def test_what_concerns_the_user_is_told(house: House, event: events.Event, code: str, sentence: str) -> None:
    client = await sharing(house)
    client._router.on_event(event)
    assert (house.events[-1].code, str(house.events[-1])) == (code, sentence)


async def test_another_removed_member_voids_tickets_and_ends_nothing_here(house: House) -> None:
    client = await sharing(house)
    client._router.on_event(events.GroupEpoch(GROUP, 2, "bob"))
    assert house.coordinator(client).epochs == [(GROUP, 2, "bob", b"")]
    assert [share.state for share in client.show_shares()] == ["served"]
    before = house.tracker.log.count("GetTicket")
    await client._session.ticket_for(GROUP)
    assert house.tracker.log.count("GetTicket") == before + 1, "the kept ticket is of the old epoch"


async def test_this_removed_member_shares_nothing_there_any_more(house: House) -> None:
    client = await sharing(house)
    client._router.on_event(events.GroupEpoch(GROUP, 2, "ann"))
    assert client.show_shares() == []
    assert client._ledger.shares_of("ann") == []
    assert house.codes()[-1] == "left_group"


async def test_a_spared_session_stays_a_member(house: House) -> None:
    client = await sharing(house)
    client._router.on_event(events.GroupEpoch(GROUP, 2, "ann", spared=b"k" * 32))
    assert [share.state for share in client.show_shares()] == ["served"]
    assert "left_group" not in house.codes()


async def test_a_session_that_ends_stops_serving_and_keeps_what_is_shared(house: House) -> None:
    client = await sharing(house)
    client._router.on_identity(None, "your password was changed; log in again")
    await settled(client)
    assert house.coordinator(client).serving.served == {}
    assert [share.name for share in client._ledger.shares_of("ann")] == ["a.bin"]
    assert str(house.events[-1]) == "you are logged out: your password was changed; log in again to go on sharing"


async def test_a_renewed_certificate_reaches_the_workers(house: House) -> None:
    client = await sharing(house)
    house.coordinator(client).identity = None
    client._router.on_identity(cast(FakeTrackerClient, client._session._client).identity, "")
    assert house.coordinator(client).identity is not None


async def test_shares_that_a_tracker_does_not_know_end_and_that_is_told(house: House) -> None:
    client = await sharing(house)
    await client._router.on_session(0, results.Announced([requests.Share(GROUP, ROOT, True)]))
    assert client.show_shares() == []
    assert house.codes()[-1] == "share_dropped"


async def test_what_could_not_be_withdrawn_is_said_when_a_session_begins(house: House) -> None:
    client = await sharing(house)
    answers = dict(house.tracker.answers)
    house.tracker.is_away()
    assert (await client.stop_share(GROUP, "a.bin")).is_pending
    house.tracker.answers = answers
    await client._router.on_session(0, None)
    await settled(client)
    assert client._ledger.withdrawals_of("ann") == []
    assert house.codes()[-1] == "share_withdrawn"


async def test_sharing_again_takes_a_withdrawal_back(house: House) -> None:
    client = await sharing(house)
    answers = dict(house.tracker.answers)
    house.tracker.is_away()
    await client.stop_share(GROUP, "a.bin")
    house.tracker.answers = answers
    await client.upload_file(house.folder / "a.bin", GROUP)
    await client._router.on_session(0, None)
    await settled(client)
    assert "share_withdrawn" not in house.codes()
    assert [share.state for share in client.show_shares()] == ["served"]


async def test_an_address_that_others_cannot_reach_is_told_once_and_each_report_of_members(house: House) -> None:
    client = await sharing(house)
    for members in (0, 0, 1, 2):
        client._router.on_event(events.OutOfReach("192.0.2.9", 7001, members))
    said = [str(event) for event in house.events if event.code == "out_of_reach"]
    assert [each.split(" nothing ")[0] for each in said[1:]] == ["a member gets", "2 members or more get"]
    assert said[0].startswith("this client listens at 127.0.0.1 only, and others are sent to 192.0.2.9:7001")


async def test_a_clock_that_differs_is_told_when_that_changes(house: House) -> None:
    client = await house.client()
    for ahead_s in (100.0, 101.0, 0.0):
        client._router.on_clock(0, ahead_s)
    assert house.codes() == ["clock", "clock"]
