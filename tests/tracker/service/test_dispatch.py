import secrets
from typing import TYPE_CHECKING

from argon2 import PasswordHasher
from sqlalchemy import func, select

from tests.tracker.conftest import CHEAP
from tracker.protocol import events as protocol_events
from tracker.protocol import manifests, requests, results, tickets
from tracker.protocol.results import Done, LoggedIn, Refused
from tracker.store import accounts, schema
from tracker.store.ticket_keys import find_trusted_keys

if TYPE_CHECKING:
    from tests.tracker.conftest import Clock, Office

MIB = 1 << 20


def a_file(group_id: str, name: str, root: bytes = bytes(32), pieces: int = 3) -> manifests.Publish:
    return manifests.Publish(group_id, name, pieces * MIB - 5, MIB, root, b"\x01" * 32 * pieces)


def share(group_id: str, root: bytes = bytes(32), is_complete: bool = True) -> requests.Share:
    return requests.Share(group_id, root, is_complete)


def announce(*shares: requests.Share, host: str = "10.0.0.9") -> requests.Announce:
    return requests.Announce(host, 4000, list(shares))


# ---------------------------------------------------------------- accounts and sessions


async def test_wrong_password_and_unknown_user_read_the_same(office: "Office") -> None:
    await office.enter("ann")
    wrong = await office.stranger().login("ann", "pw bob")
    unknown = await office.stranger().login("nobody", "pw bob")
    assert wrong == unknown
    assert isinstance(wrong, Refused)
    assert wrong.code == "login_failed"


async def test_a_name_is_given_once(office: "Office") -> None:
    await office.enter("ann")
    assert await office.stranger().code(requests.CreateUser("ann", "mine")) == "user_taken"
    assert await office.stranger().code(requests.CreateUser("a b", "mine")) == "bad_name"


async def test_a_retried_create_user_is_recognised_by_request_and_password(office: "Office") -> None:
    request_id = secrets.token_bytes(16)
    create = requests.CreateUser("ann", "secret")
    assert await office.stranger().ask(create, request_id) == Done()
    assert await office.stranger().ask(create, request_id) == Done()
    for replay, with_id in [(requests.CreateUser("ann", "guess"), request_id), (create, bytes(16))]:
        answer = await office.stranger().ask(replay, with_id)
        assert isinstance(answer, Refused)
        assert answer.code == "user_taken"


async def test_a_password_opens_its_account_in_whichever_form_it_is_typed(office: "Office") -> None:
    composed, decomposed = "pass\u00e9", "passe\u0301"
    await office.stranger().ask(requests.CreateUser("ann", decomposed))
    for typed in (composed, decomposed):
        ann = office.stranger()
        assert isinstance(await ann.login("ann", typed), LoggedIn)
        assert isinstance(await ann.ask(requests.ChangePassword(typed, decomposed)), LoggedIn)
    assert isinstance(await office.stranger().login("ann", "passe"), Refused)


async def test_an_account_from_before_gets_in_as_it_used_to_and_then_in_every_form(office: "Office") -> None:
    composed, decomposed = "pass\u00e9", "passe\u0301"
    older = PasswordHasher(CHEAP.passes, CHEAP.memory_kib, parallelism=1).hash(decomposed)
    async with office.store.changing() as db:
        await accounts.add_account(db, "ann", older, 0.0)
    assert isinstance(await office.stranger().login("ann", composed), Refused)
    assert isinstance(await office.stranger().login("ann", decomposed), LoggedIn)
    assert isinstance(await office.stranger().login("ann", composed), LoggedIn)
    assert isinstance(await office.stranger().login("ann", decomposed), LoggedIn)


async def test_a_proof_over_another_connection_is_no_login(office: "Office") -> None:
    await office.enter("ann")
    thief, other = office.stranger(), office.stranger()
    proof = thief.key.sign(requests.login_challenge(other.connection.nonce, "ann"))
    assert await thief.code(requests.Login("ann", "pw ann", thief.public_key, proof)) == "login_failed"


async def test_a_session_is_resumed_with_its_key_alone(office: "Office") -> None:
    ann = office.stranger()
    await ann.ask(requests.CreateUser("ann", "pw"))
    logged_in = await ann.login("ann", "pw")
    assert isinstance(logged_in, LoggedIn)
    later, thief = office.stranger(), office.stranger()
    proof = ann.key.sign(requests.login_challenge(later.connection.nonce, "ann"))
    stolen = thief.key.sign(requests.login_challenge(thief.connection.nonce, "ann"))
    assert await later.ask(requests.Resume(logged_in.certificate_pem, proof)) == logged_in
    assert await thief.code(requests.Resume(logged_in.certificate_pem, stolen)) == "login_failed"
    assert await thief.code(requests.Resume(b"garbage", stolen)) == "session_ended"


async def test_a_session_ends_with_its_certificate_unless_renewed(office: "Office", clock: "Clock") -> None:
    ann, bob = await office.enter("ann"), await office.enter("bob")
    clock.now_s += 20 * 3600
    assert isinstance(await ann.ask(requests.Renew()), LoggedIn)
    clock.now_s += 5 * 3600
    assert await ann.ask(requests.Heartbeat()) == results.Alive(clock.now_s)
    assert await bob.code(requests.Heartbeat()) == "session_ended"
    assert await bob.code(requests.Heartbeat()) == "not_logged_in"


async def test_after_a_logout_the_connection_is_a_strangers(office: "Office") -> None:
    ann = await office.enter("ann")
    assert await ann.ask(requests.Logout()) == Done()
    assert await ann.code(requests.ListGroups()) == "not_logged_in"


# ---------------------------------------------------------------- groups


async def test_who_makes_a_group_owns_it(office: "Office") -> None:
    ann, bob = await office.enter("ann"), await office.enter("bob")
    assert await ann.ask(requests.CreateGroup("lab")) == Done()
    assert await bob.code(requests.CreateGroup("lab")) == "group_taken"
    assert await bob.ask(requests.ListGroups()) == results.Groups([results.GroupEntry("lab", "ann", 1, "none")])


async def test_joining_is_asked_for_and_answered_by_the_owner(office: "Office") -> None:
    ann, bob, cy = [await office.enter(name) for name in ("ann", "bob", "cy")]
    await ann.ask(requests.CreateGroup("lab"))
    assert await bob.code(requests.JoinGroup("nowhere")) == "no_such_group"
    assert await bob.ask(requests.JoinGroup("lab")) == Done("lab")
    assert ann.events == [protocol_events.RequestArrived("lab", "bob")]
    assert await bob.code(requests.JoinGroup("lab")) == "already_requested"
    await cy.ask(requests.JoinGroup("lab"))
    assert await ann.ask(requests.ListRequests("lab")) == results.Requests(["bob", "cy"], "lab")
    assert await ann.ask(requests.AcceptRequest("lab", "bob")) == Done("lab", "bob")
    assert await ann.ask(requests.RejectRequest("lab", "cy")) == Done("lab", "cy")
    assert bob.events == [protocol_events.RequestAnswered("lab", True)]
    assert cy.events == [protocol_events.RequestAnswered("lab", False)]
    assert await ann.code(requests.AcceptRequest("lab", "cy")) == "no_such_request"
    assert await bob.code(requests.JoinGroup("lab")) == "already_member"
    assert await bob.code(requests.AcceptRequest("lab", "cy")) == "not_owner"
    assert await cy.code(requests.ListRequests("lab")) == "not_member"


async def test_an_owners_group_passes_to_the_longest_standing_member(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "zoe", "bob")
    assert await ann.ask(requests.LeaveGroup("lab")) == results.Left("zoe", False)
    kinds = [type(event) for event in bob.events]
    assert kinds == [protocol_events.GroupEpoch, protocol_events.OwnerChanged]
    assert bob.events == cy.events
    assert await ann.code(requests.ListFiles("lab")) == "not_member"
    assert await bob.ask(requests.ListRequests("lab")) == results.Requests([], "lab")


async def test_the_last_members_leaving_removes_everything(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    asker = await office.enter("bob")
    await asker.ask(requests.JoinGroup("lab"))
    await ann.ask(a_file("lab", "data"))
    assert await ann.ask(requests.LeaveGroup("lab")) == results.Left(None, True)
    assert asker.events == [protocol_events.RequestAnswered("lab", False)]
    async with office.store.reading() as db:
        for table in (schema.groups, schema.members, schema.requests, schema.files, schema.manifests):
            assert await db.scalar(select(func.count()).select_from(table)) == 0


async def test_epochs_rise_even_over_the_end_of_a_group(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    epochs = []
    for _ in range(2):
        ticket = await ann.ask(requests.GetTicket("lab"))
        assert isinstance(ticket, results.Ticket)
        epochs.append(ticket.epoch)
        await bob.ask(requests.LeaveGroup("lab"))
        await ann.ask(requests.LeaveGroup("lab"))
        await ann.ask(requests.CreateGroup("lab"))
    events = [event.epoch for event in ann.events if isinstance(event, protocol_events.GroupEpoch)]
    assert epochs[0] < events[0] < events[1] < epochs[1] < events[2]


async def test_a_retry_gets_the_first_outcome_and_changes_nothing(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    request_id = secrets.token_bytes(16)
    first = await ann.ask(requests.LeaveGroup("lab"), request_id)
    assert await ann.ask(requests.LeaveGroup("lab"), request_id) == first == results.Left("bob", False)
    assert len(bob.events) == 2
    assert await bob.ask(requests.LeaveGroup("lab"), request_id) == results.Left(None, True)


# ---------------------------------------------------------------- files


async def test_one_name_stands_for_one_content(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    assert await ann.ask(a_file("lab", "data")) == manifests.Published(False)
    assert await bob.ask(a_file("lab", "data")) == manifests.Published(True)
    refused = await bob.ask(a_file("lab", "data", root=b"\x02" * 32))
    assert isinstance(refused, Refused)
    assert refused.code == "file_conflict"
    assert "ann" in refused.message


async def test_a_made_up_manifest_neither_spoils_nor_shows_the_true_one(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    (eve,) = await office.gather("den", "eve")
    true = a_file("lab", "data")
    made_up = manifests.Publish("den", "data", true.size_bytes, true.piece_bytes, true.root, b"\xee" * 96)
    await eve.ask(made_up)
    await ann.ask(true)
    for person, published in ((ann, true), (eve, made_up)):
        manifest = await person.ask(manifests.FetchManifest(published.group_id, "data"))
        assert isinstance(manifest, manifests.Manifest)
        assert manifest.leaves == published.leaves


async def test_a_manifest_of_wrong_size_is_refused(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    assert await ann.code(manifests.Publish("lab", "a", 5, MIB, bytes(32), b"")) == "bad_request"
    assert await ann.code(manifests.Publish("lab", "a", 5, MIB + 1, bytes(32), bytes(32))) == "bad_request"
    assert await ann.code(manifests.Publish("lab", "a", 1 << 44, MIB, bytes(32), bytes(32))) == "too_large"
    assert await ann.code(a_file("lab", "../a")) == "bad_name"
    assert await ann.ask(manifests.Publish("lab", "a", 0, MIB, bytes(32), b"")) == manifests.Published(False)


async def test_files_are_listed_by_name_for_members_only(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    eve = await office.enter("eve")
    for name in ("b", "a"):
        await ann.ask(a_file("lab", name))
    await ann.ask(announce(share("lab")))
    answer = await ann.ask(requests.ListFiles("lab"))
    assert isinstance(answer, results.Files)
    assert [(entry.name, entry.sharers_online) for entry in answer.files] == [("a", 1), ("b", 1)]
    for request in (
        requests.ListFiles("lab"),
        manifests.FetchManifest("lab", "a"),
        requests.FindPeers("lab", bytes(32), 5),
        requests.GetTicket("lab"),
        requests.Withdraw("lab", "a"),
        a_file("lab", "c"),
    ):
        assert await eve.code(request) == "not_member"


async def test_a_withdrawn_file_stays_while_others_have_it(office: "Office") -> None:
    _, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await bob.ask(a_file("lab", "data"))
    await cy.ask(announce(share("lab")))
    assert await bob.ask(requests.Withdraw("lab", "data")) == results.Withdrawn(False, still_shared_by=["cy"])
    await cy.ask(requests.Logout())
    assert await bob.ask(requests.Withdraw("lab", "data")) == results.Withdrawn(True)
    assert await bob.code(manifests.FetchManifest("lab", "data")) == "no_such_file"


async def test_only_publisher_and_owner_remove_a_file(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await bob.ask(a_file("lab", "data"))
    answer = await cy.ask(requests.Withdraw("lab", "data"))
    assert answer == results.Withdrawn(False, may_withdraw=["bob", "ann"])
    assert await ann.ask(requests.Withdraw("lab", "data")) == results.Withdrawn(True)


# ---------------------------------------------------------------- who has what


async def test_what_is_not_ones_own_is_not_announced(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    eve = await office.enter("eve")
    await ann.ask(a_file("lab", "data"))
    foreign, missing = share("lab"), share("lab", b"\x09" * 32)
    assert await eve.ask(announce(foreign)) == results.Announced([foreign])
    assert await ann.ask(announce(foreign, missing)) == results.Announced([missing])
    assert await eve.ask(requests.AnnounceChange([foreign], [])) == results.Announced([foreign])


async def test_peers_are_found_at_their_observed_address_without_oneself(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await ann.ask(a_file("lab", "data"))
    await ann.ask(announce(share("lab")))
    await bob.ask(announce(share("lab", is_complete=False)))
    answer = await bob.ask(requests.FindPeers("lab", bytes(32), 5))
    thumbprint = tickets.thumbprint_of(ann.public_key)
    assert answer == results.Peers([protocol_events.Peer("ann", "192.0.2.1", 4000, thumbprint, True)])
    assert await bob.code(requests.FindPeers("lab", b"\x09" * 32, 5)) == "no_such_file"


async def test_who_fetches_hears_of_a_new_peer_once(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await ann.ask(a_file("lab", "data"))
    await bob.ask(announce(share("lab", is_complete=False)))
    await cy.ask(announce(share("lab", is_complete=True)))
    for _ in range(2):
        await ann.ask(announce(share("lab")))
    joined = [event.peer.user_id for event in bob.events if isinstance(event, protocol_events.PeerJoined)]
    assert joined == ["cy", "ann"]
    assert not [event for event in cy.events if isinstance(event, protocol_events.PeerJoined)]


async def test_those_who_begin_at_the_same_moment_hear_of_each_other(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await ann.ask(a_file("lab", "data"))
    await ann.ask(announce(share("lab")))
    for member in (bob, cy):
        await member.ask(announce())
        await member.ask(requests.FindPeers("lab", bytes(32), 5))
    for member in (bob, cy):
        await member.ask(requests.AnnounceChange([share("lab", is_complete=False)], []))
    for member, other in ((bob, "cy"), (cy, "bob")):
        joined = [event.peer.user_id for event in member.events if isinstance(event, protocol_events.PeerJoined)]
        assert joined == [other]


async def test_a_change_needs_an_announce_before_it(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    await ann.ask(a_file("lab", "data"))
    assert await ann.code(requests.AnnounceChange([share("lab")], [])) == "bad_request"
    await ann.ask(announce())
    assert await ann.ask(requests.AnnounceChange([share("lab")], [])) == results.Announced([])
    assert await ann.ask(requests.AnnounceChange([], [share("lab")])) == results.Announced([])
    listed = await ann.ask(requests.ListFiles("lab"))
    assert isinstance(listed, results.Files)
    assert listed.files[0].sharers_online == 0


async def test_who_left_is_no_peer_any_more(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await ann.ask(a_file("lab", "data"))
    await bob.ask(announce(share("lab")))
    await bob.ask(requests.LeaveGroup("lab"))
    assert await ann.ask(requests.FindPeers("lab", bytes(32), 5)) == results.Peers([])


async def test_the_silent_are_swept_away(office: "Office", clock: "Clock") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await ann.ask(a_file("lab", "data"))
    await ann.ask(announce(share("lab")))
    clock.now_s += 29
    await bob.ask(requests.Heartbeat())
    clock.now_s += 2
    office.service.sweep()
    assert office.service.is_forgotten(ann.connection)
    assert not office.service.is_forgotten(bob.connection)
    assert await bob.ask(requests.FindPeers("lab", bytes(32), 5)) == results.Peers([])


async def test_a_ticket_names_account_group_epoch_and_key(office: "Office", clock: "Clock") -> None:
    (ann,) = await office.gather("lab", "ann")
    answer = await ann.ask(requests.GetTicket("lab"))
    assert isinstance(answer, results.Ticket)
    async with office.store.reading() as db:
        claims = tickets.check(answer.ticket, await find_trusted_keys(db, clock.now_s), clock.now_s)
    thumbprint = tickets.thumbprint_of(ann.public_key)
    assert claims == tickets.Claims("ann", "lab", answer.epoch, thumbprint, clock.now_s + 600)


async def test_a_peer_that_is_reported_is_not_named_while_there_is_another(office: "Office") -> None:
    ann, bob, cy = await office.gather("lab", "ann", "bob", "cy")
    await ann.ask(a_file("lab", "data"))
    for member in (ann, cy):
        await member.ask(announce(share("lab")))
    key = tickets.thumbprint_of(cy.public_key)
    answer = await bob.ask(requests.FindPeers("lab", bytes(32), 5, [key], []))
    assert isinstance(answer, results.Peers)
    assert [peer.user_id for peer in answer.peers] == ["ann"]
    again = await bob.ask(requests.FindPeers("lab", bytes(32), 5, [], [key]))
    assert isinstance(again, results.Peers)
    assert sorted(peer.user_id for peer in again.peers) == ["ann", "cy"]


async def test_who_waits_without_a_piece_is_no_sharer(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await ann.ask(a_file("lab", "data"))
    await ann.ask(announce(share("lab")))
    counts = []
    for has_pieces in (False, True):
        await bob.ask(announce(requests.Share("lab", bytes(32), False, has_pieces)))
        listed = await ann.ask(requests.ListFiles("lab"))
        assert isinstance(listed, results.Files)
        counts.append((listed.files[0].sharers_online, listed.files[0].partial_online))
    assert counts == [(1, 0), (1, 1)]
