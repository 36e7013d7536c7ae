"""The order of things: what a login, a logout and a command do to the tracker, the coordinator and the ledger."""

from pathlib import Path

import pytest

from engine.client.events import ShareDropped
from engine.errors import LocalError, RefusedByTracker, ShoalError, TrackerUnavailable
from engine.reports import MemberReport
from tests.engine.client.conftest import House
from tests.engine.client.fakes import GROUP, manifest_of
from tracker.protocol import manifests, requests, results

CONTENT = b"x" * 300_000
MANIFEST = manifest_of(CONTENT)


async def test_a_login_configures_the_workers_before_anything_is_announced(house: House) -> None:
    client = await house.client()
    report = await client.login("Ann", "pw")
    assert (report.user_id, client.user_id) == ("ann", "ann"), "as the account was spelled when it was made"
    assert house.coordinator(client).identity is not None
    assert house.tracker.log == ["Login", "Announce"]
    (_, announced) = house.tracker.asked
    assert announced == requests.Announce("127.0.0.1", 7001, [])


async def test_a_second_login_is_refused_and_asks_nobody(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    before = list(house.tracker.log)
    with pytest.raises(LocalError) as caught:
        await client.login("bob", "pw")
    assert (caught.value.code, house.tracker.log) == ("logged_in", before)


async def test_a_refused_login_leaves_the_client_logged_out(house: House) -> None:
    client = await house.client()
    house.tracker.refuse(requests.Login, "login_failed")
    with pytest.raises(RefusedByTracker):
        await client.login("ann", "wrong")
    assert client.user_id is None
    assert house.coordinator(client).identity is None
    assert house.tracker.log == ["Login"]


@pytest.mark.parametrize("command", ["logout", "revoke_sessions", "list_groups"])
async def test_what_needs_an_account_is_refused_before_a_login(house: House, command: str) -> None:
    client = await house.client()
    with pytest.raises(LocalError) as caught:
        await getattr(client, command)()
    assert (caught.value.code, house.tracker.log) == ("not_logged_in", [])


async def test_bad_arguments_are_refused_before_anybody_is_asked(house: House) -> None:
    client = await house.client()
    for work in (client.create_user("a b", "pw"), client.create_user("ann", ""), client.login("ann", "\ud800")):
        with pytest.raises(LocalError) as caught:
            await work
        assert caught.value.code in ("bad_name", "bad_password")
    assert house.tracker.log == []


async def test_an_upload_is_served_kept_and_announced_after_it_was_published(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    path = house.file("a.bin", CONTENT)
    report = await client.upload_file(path, "LAB")
    assert (report.group_id, report.root) == (GROUP, MANIFEST.root.hex())
    assert house.tracker.log[2:] == ["GetTicket", "Publish", "AnnounceChange"]
    assert house.tracker.asked[-1] == requests.AnnounceChange([requests.Share(GROUP, MANIFEST.root, True, True)], [])
    assert [share.state for share in client.show_shares()] == ["served"]
    assert [share.path for share in client._ledger.shares_of("ann")] == [str(path)]


async def test_an_upload_that_the_tracker_refuses_shares_nothing(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    house.tracker.refuse(manifests.Publish, "name_taken")
    with pytest.raises(RefusedByTracker):
        await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    assert client.show_shares() == []
    assert client._ledger.shares_of("ann") == []
    assert house.coordinator(client).serving.served == {}


async def test_who_is_no_member_is_told_before_the_file_is_read(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    house.tracker.refuse(requests.GetTicket, "not_member")
    with pytest.raises(RefusedByTracker) as caught:
        await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    assert caught.value.code == "not_member"
    assert house.coordinator(client).hash_jobs.count == 0


async def test_a_logout_stops_serving_before_the_session_ends_and_the_next_login_goes_on(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    served_at_logout: list[int] = []
    end_session = client._session.logout

    async def logout() -> None:
        served_at_logout.append(len(house.coordinator(client).serving.served))
        await end_session()

    client._session.logout = logout  # type: ignore[method-assign]
    await client.logout()
    assert (client.user_id, served_at_logout) == (None, [0])
    report = await client.login("ann", "pw")
    assert (report.shares_resumed, report.shares_dropped) == (1, [])
    assert house.tracker.asked[-1] == requests.Announce(
        "127.0.0.1", 7001, [requests.Share(GROUP, MANIFEST.root, True, True)]
    )


async def test_a_restart_resumes_the_shares_of_the_account_and_of_no_other(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    await house.end(client)
    client = await house.client()
    assert (await client.login("bob", "pw")).shares_resumed == 0
    await client.logout()
    assert (await client.login("ann", "pw")).shares_resumed == 1


async def test_what_a_tracker_does_not_know_at_login_is_in_the_report_and_not_told_twice(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    await client.logout()
    house.tracker.unknown = [requests.Share(GROUP, MANIFEST.root, True)]
    report = await client.login("ann", "pw")
    assert [dropped.name for dropped in report.shares_dropped] == ["a.bin"]
    assert not [event for event in house.events if isinstance(event, ShareDropped)]
    assert client.show_shares() == []


async def test_stop_share_ends_serving_and_asks_the_tracker_for_the_name(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    report = await client.stop_share("Lab", "a.bin")
    assert (report.is_removed, report.is_pending) == (True, False)
    assert requests.Withdraw(GROUP, "a.bin", MANIFEST.root) in house.tracker.asked
    assert requests.AnnounceChange([], [requests.Share(GROUP, MANIFEST.root, False, False)]) in house.tracker.asked
    assert client._ledger.shares_of("ann") == []


async def test_stop_share_without_a_tracker_is_kept_to_be_said(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    house.tracker.is_away()
    assert (await client.stop_share(GROUP, "a.bin")).is_pending
    assert client.show_shares() == []
    assert [each.name for each in client._ledger.withdrawals_of("ann")] == ["a.bin"]


async def test_a_withdrawal_that_is_not_taken_now_is_kept_and_nothing_is_served(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    house.tracker.refuse(requests.Withdraw, "too_many_requests")
    assert (await client.stop_share(GROUP, "a.bin")).is_pending
    assert client.show_shares() == []
    assert [each.name for each in client._ledger.withdrawals_of("ann")] == ["a.bin"]


async def test_a_name_that_is_not_shared_here_is_freed_or_it_is_said_who_can(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    report = await client.stop_share(GROUP, "b.bin")
    assert (report.was_shared, report.is_removed) == (False, True)
    house.tracker.answers[requests.Withdraw] = results.Withdrawn(False, may_withdraw=["own"])
    with pytest.raises(LocalError) as caught:
        await client.stop_share(GROUP, "b.bin")
    assert caught.value.code == "not_shared"
    assert "own" in str(caught.value)


async def test_leaving_a_group_ends_what_is_shared_in_it(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    report = await client.leave_group("LAB")
    assert report.group_id == GROUP
    assert client.show_shares() == []
    assert client._ledger.shares_of("ann") == []


async def test_a_refusal_to_leave_ends_nothing(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    await client.upload_file(house.file("a.bin", CONTENT), GROUP)
    house.tracker.refuse(requests.LeaveGroup, "not_member")
    with pytest.raises(RefusedByTracker):
        await client.leave_group(GROUP)
    assert [share.state for share in client.show_shares()] == ["served"]


async def test_a_state_folder_is_used_by_one_client_at_a_time(house: House) -> None:
    client = await house.client()
    with pytest.raises(ShoalError) as caught:
        await house.client()
    assert caught.value.code == "state_busy"
    await house.end(client)
    await house.client()


async def test_without_a_tracker_the_client_starts_and_says_so_when_it_is_asked(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    house.tracker.is_away()
    with pytest.raises(TrackerUnavailable):
        await client.download_file("other", "a.bin", Path("."))


async def test_a_change_of_members_is_reported_as_the_tracker_spells_it(house: House) -> None:
    client = await house.client()
    await client.login("ann", "pw")
    house.tracker.answers[requests.RemoveMember] = results.Done("Lab", "Bob")
    assert await client.remove_member("LAB", "bOB") == MemberReport("Lab", "Bob")
    house.tracker.answers[requests.RemoveMember] = results.Done("another", "")
    assert await client.remove_member("LAB", "bOB") == MemberReport("LAB", "bOB"), "an answer about something else"
