"""Who is put out, and whose sessions are revoked: what the tracker refuses from then on, and who hears of it."""

import secrets
from typing import TYPE_CHECKING, Any, cast

import pytest
from sqlalchemy import event

from tests.tracker.conftest import Person, another_tracker
from tracker.protocol import events, manifests, requests, results, tickets
from tracker.protocol.events import GroupEpoch, SessionEnded
from tracker.protocol.results import Done, LoggedIn
from tracker.store.store import SqlStore

if TYPE_CHECKING:
    from tests.tracker.conftest import Clock, Office


async def resume(office: "Office", person: Person, logged_in: LoggedIn) -> results.Result:
    """The same key on a new connection."""
    later = office.stranger()
    later.key, later.events = person.key, person.events
    later.connection.push = person.connection.push
    proof = person.key.sign(requests.login_challenge(later.connection.nonce, logged_in.user_id))
    answer = await later.ask(requests.Resume(logged_in.certificate_pem, proof))
    if isinstance(answer, LoggedIn):
        person.connection, person.service = later.connection, later.service
    return answer


async def log_in(office: "Office", user_id: str, password: str) -> tuple[Person, LoggedIn]:
    person = office.stranger()
    answer = await person.login(user_id, password)
    assert isinstance(answer, LoggedIn), answer
    return person, answer


# ---------------------------------------------------------------- members


async def test_only_the_owner_removes_members_and_not_itself(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    eve = await office.enter("eve")
    assert await bob.code(requests.RemoveMember("lab", "cy")) == "not_owner"
    assert await eve.code(requests.RemoveMember("lab", "cy")) == "not_member"
    assert await ann.code(requests.RemoveMember("lab", "eve")) == "no_such_member"
    assert await ann.code(requests.RemoveMember("lab", "ann")) == "bad_request"
    assert await ann.ask(requests.RemoveMember("lab", "bob")) == Done("lab", "bob")
    assert await bob.code(requests.GetTicket("lab")) == "not_member"
    assert isinstance(await cy.ask(requests.GetTicket("lab")), results.Ticket)


async def test_all_members_and_the_removed_hear_of_a_removal_with_a_higher_epoch(office: "Office") -> None:
    people = ann, bob, _ = await office.gather("lab", "ann", "bob", "cy")
    before = await ann.ask(requests.GetTicket("lab"))
    assert isinstance(before, results.Ticket)
    await ann.ask(requests.RemoveMember("lab", "bob"))
    after = await ann.ask(requests.GetTicket("lab"))
    assert isinstance(after, results.Ticket)
    assert after.epoch > before.epoch
    for person in people:
        assert person.events == [GroupEpoch("lab", after.epoch, "bob")]
    assert await bob.ask(requests.JoinGroup("lab")) == Done("lab")


async def test_a_removal_on_one_tracker_is_heard_on_the_others_once(office: "Office") -> None:
    second = another_tracker(office)
    await second.service.catch_up()
    ann, bob = await office.gather("lab", "ann", "bob")
    cy, _ = await log_in(second, "ann", "pw ann")
    await second.service.hear_news()
    cy.events.clear()
    await bob.ask(requests.LeaveGroup("lab"))
    assert cy.events == []
    for _ in range(3):
        await office.service.hear_news()
        await second.service.hear_news()
    assert cy.events == ann.events
    assert [type(event) for event in cy.events] == [GroupEpoch]


async def test_the_tables_are_looked_at_for_news_only_after_a_change(office: "Office") -> None:
    asked: list[str] = []
    engine: Any = cast(SqlStore, office.store)._readers
    event.listen(engine.sync_engine, "before_cursor_execute", lambda *words: asked.append(words[2]))
    ann, bob = await office.gather("lab", "ann", "bob")
    await office.service.hear_news()
    asked.clear()
    await ann.ask(requests.ListGroups())
    asked_by_list = len(asked)
    for _ in range(3):
        await office.service.hear_news()
    assert len(asked) == asked_by_list
    await bob.ask(requests.LeaveGroup("lab"))
    asked.clear()
    await office.service.hear_news()
    assert asked


async def test_a_peer_that_was_put_out_is_forgotten_by_every_tracker(office: "Office") -> None:
    second = another_tracker(office)
    ann, _bob = await office.gather("lab", "ann", "bob")
    await ann.ask(manifests.Publish("lab", "a", 0, 1 << 18, bytes(32), b""))
    bob, _ = await log_in(second, "bob", "pw bob")
    await bob.ask(requests.Announce("", 4000, [requests.Share("lab", bytes(32), True)]))
    assert bob.connection.session is not None
    assert second.service._state.presence.count_shares(bob.connection.session.number) == 1
    await ann.ask(requests.RemoveMember("lab", "bob"))
    await second.service.hear_news()
    assert second.service._state.presence.count_shares(bob.connection.session.number) == 0


async def test_who_was_not_connected_for_a_moment_hears_of_the_removals_meanwhile(
    office: "Office", clock: "Clock"
) -> None:
    ann, bob, _ = await office.gather("lab", "ann", "bob", "cy")
    cy, logged_in = await log_in(office, "cy", "pw cy")
    office.service.hang_up(cy.connection)
    await ann.ask(requests.RemoveMember("lab", "bob"))
    third = another_tracker(office)  # also one that was started after it happened
    await third.service.catch_up()
    for each in (office, third):
        cy.events.clear()
        assert isinstance(await resume(each, cy, logged_in), LoggedIn)
        assert [event.removed for event in cy.events if isinstance(event, GroupEpoch)] == ["bob"]
    assert not [event for event in bob.events if isinstance(event, events.OwnerChanged)]
    clock.now_s += 3600
    await ann.ask(requests.JoinGroup("lab"))
    await ann.ask(requests.RemoveMember("lab", "cy"))
    assert {news.at_s for news in office.service._state.recent_news} == {clock.now_s}


async def test_a_removed_and_readmitted_member_is_not_told_of_its_old_removal(office: "Office") -> None:
    ann, _ = await office.gather("lab", "ann", "bob")
    bob, logged_in = await log_in(office, "bob", "pw bob")
    await ann.ask(requests.RemoveMember("lab", "bob"))
    await bob.ask(requests.JoinGroup("lab"))
    await ann.ask(requests.AcceptRequest("lab", "bob"))
    office.service.hang_up(bob.connection)
    bob.events.clear()
    assert isinstance(await resume(office, bob, logged_in), LoggedIn)
    assert bob.events == []


async def test_a_retried_removal_does_not_put_out_who_came_back(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    request_id = secrets.token_bytes(16)
    await ann.ask(requests.RemoveMember("lab", "bob"), request_id)
    await bob.ask(requests.JoinGroup("lab"))
    await ann.ask(requests.AcceptRequest("lab", "bob"))
    assert await ann.ask(requests.RemoveMember("lab", "bob"), request_id) == Done("lab", "bob")
    assert isinstance(await bob.ask(requests.GetTicket("lab")), results.Ticket)


# ---------------------------------------------------------------- sessions


@pytest.mark.parametrize("request_type", ["revoke", "change"])
async def test_every_other_session_ends_on_every_tracker_and_its_certificate_with_it(
    office: "Office", request_type: str
) -> None:
    second = another_tracker(office)
    (ann,) = await office.gather("lab", "ann")
    here, here_before = await log_in(office, "ann", "pw ann")
    there, there_before = await log_in(second, "ann", "pw ann")
    request = requests.RevokeSessions() if request_type == "revoke" else requests.ChangePassword("pw ann", "better")
    answer = await ann.ask(request)
    assert isinstance(answer, LoggedIn)
    assert here.events[-1:] == [SessionEnded("the sessions of this account were revoked")]
    assert await here.code(requests.GetTicket("lab")) == "not_logged_in"
    assert await there.code(requests.GetTicket("lab")) == "session_ended"  # before that tracker heard of it
    assert await there.code(requests.Renew()) == "session_ended"
    await second.service.hear_news()
    assert there.events[-1:] == here.events[-1:]
    assert await there.code(requests.ListGroups()) == "not_logged_in"
    for place, person, old in ((office, here, here_before), (second, there, there_before)):
        refused = await resume(place, person, old)
        assert isinstance(refused, results.Refused)
        assert refused.code == "session_ended"
    assert isinstance(await ann.ask(requests.GetTicket("lab")), results.Ticket)
    assert isinstance(await ann.ask(requests.Renew()), LoggedIn)
    assert isinstance(await resume(second, ann, answer), LoggedIn)


async def test_peers_are_told_which_key_is_spared_in_every_group_of_the_account(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await bob.ask(requests.CreateGroup("den"))
    await bob.ask(requests.RevokeSessions())
    spared = tickets.thumbprint_of(bob.public_key)
    assert [(event.group_id, event.removed, event.spared) for event in ann.events if isinstance(event, GroupEpoch)] == [
        ("lab", "bob", spared)
    ]
    assert [event.group_id for event in bob.events if isinstance(event, GroupEpoch)] == ["den", "lab"]
    assert isinstance(await bob.ask(requests.GetTicket("lab")), results.Ticket)


async def test_a_spared_session_on_another_tracker_goes_on(office: "Office") -> None:
    second = another_tracker(office)
    (ann,) = await office.gather("lab", "ann")
    same_key = second.stranger()
    same_key.key = ann.key
    assert isinstance(await same_key.login("ann", "pw ann"), LoggedIn)
    await ann.ask(requests.RevokeSessions())
    await second.service.hear_news()
    assert isinstance(await same_key.ask(requests.GetTicket("lab")), results.Ticket)


async def test_a_password_is_changed_by_who_knows_the_old_one(office: "Office") -> None:
    ann = await office.enter("ann")
    assert await ann.code(requests.ChangePassword("guess", "mine")) == "login_failed"
    request_id = secrets.token_bytes(16)
    first = await ann.ask(requests.ChangePassword("pw ann", "better"), request_id)
    assert await ann.ask(requests.ChangePassword("pw ann", "better"), request_id) == first
    old = await office.stranger().login("ann", "pw ann")
    assert isinstance(old, results.Refused)
    assert isinstance(await office.stranger().login("ann", "better"), LoggedIn)
