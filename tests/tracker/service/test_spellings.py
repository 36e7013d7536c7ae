"""An account or a group is found in any capital letters, a file in any Unicode normal form; nothing else is made that
could be taken for it, and everybody is shown the spelling of whoever made it."""

import typing
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import update

from tests.tracker.conftest import CHEAP, Person
from tests.tracker.service.test_dispatch import a_file, announce, share
from tracker.protocol import events, manifests, requests, results, tickets
from tracker.protocol.names import fold_id
from tracker.protocol.results import Done, LoggedIn, Refused
from tracker.service.dispatch import HANDLERS
from tracker.service.handlers import Handler
from tracker.service.passwords import Passwords
from tracker.store import schema
from tracker.store.ticket_keys import find_trusted_keys

if TYPE_CHECKING:
    from tests.tracker.conftest import Clock, Office

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


async def add_older(office: "Office", *user_ids: str) -> None:
    """Accounts from before the rule for ids, which may clash."""
    async with office.store.changing() as db:
        for user_id in user_ids:
            row = {"user_id": "for now", "folded": "for now", "password_hash": Passwords(CHEAP).hash_password(user_id)}
            rest = {"apart": user_id, "generation": 0, "files_published": 0, "manifest_bytes": 0, "created_at_s": 0.0}
            await db.execute(schema.accounts.insert().values(**row, **rest))
            names = {"user_id": user_id, "folded": fold_id(user_id)}
            await db.execute(update(schema.accounts).where(schema.accounts.c.user_id == "for now").values(names))


# ---------------------------------------------------------------- accounts


@pytest.mark.parametrize("user_id", ["Bob", "BOB", "bOb"])
async def test_no_second_account_differs_in_capital_letters_only(office: "Office", user_id: str) -> None:
    await office.enter("bob")
    answer = await office.stranger().ask(requests.CreateUser(user_id, "mine"))
    assert isinstance(answer, Refused)
    assert answer.code == "user_taken"
    assert "capital letters make no difference" in answer.message


@pytest.mark.parametrize(
    "user_id", ["\u0430nn", "\uff41nn", "..", ".a", "-x", "--help", "_a", "ann@lab", "a+b", "\u00fcnal"], ids=ascii
)
async def test_no_new_account_or_group_has_a_name_that_may_be_taken_for_another(office: "Office", user_id: str) -> None:
    ann = await office.enter("ann")
    assert await office.stranger().code(requests.CreateUser(user_id, "mine")) == "bad_name"
    assert await ann.code(requests.CreateGroup(user_id)) == "bad_name"


async def test_a_login_finds_the_account_in_any_capital_letters(office: "Office", clock: "Clock") -> None:
    await office.enter("Bob")
    for typed in ("Bob", "bob", "BOB"):
        person = office.stranger()
        answer = await person.login(typed, "pw Bob")
        assert isinstance(answer, LoggedIn)
        assert answer.user_id == "Bob"
        await person.ask(requests.Logout())
        proof = person.key.sign(requests.login_challenge(person.connection.nonce, "Bob"))
        resumed = await person.ask(requests.Resume(answer.certificate_pem, proof))
        assert isinstance(resumed, LoggedIn), "the certificate has the spelling of who made the account"
        assert resumed.user_id == "Bob"


async def test_the_proof_of_a_login_is_of_the_id_as_it_was_sent(office: "Office") -> None:
    await office.enter("Bob")
    person = office.stranger()
    proof = person.key.sign(requests.login_challenge(person.connection.nonce, "Bob"))
    assert await person.code(requests.Login("bob", "pw Bob", person.public_key, proof)) == "login_failed"


async def test_a_wrong_password_reads_the_same_in_any_capital_letters(office: "Office") -> None:
    await office.enter("bob")
    answers = [await office.stranger().login(typed, "guess") for typed in ("bob", "BOB", "nobody")]
    assert answers[0] == answers[1] == answers[2]


async def test_capital_letters_give_a_guesser_no_further_guesses(office: "Office") -> None:
    await office.enter("bob")
    codes = []
    for typed in ("bob", "Bob", "bOb", "boB", "BOb", "bOB", "BoB"):
        answer = await office.stranger("198.51.100.7").login(typed, "guess")
        assert isinstance(answer, Refused)
        codes.append(answer.code)
    assert codes == ["login_failed"] * 5 + ["throttled"] * 2


async def test_older_accounts_that_clash_go_on_and_are_found_by_their_own_spelling(office: "Office") -> None:
    await add_older(office, "Bob", "bob", "\u00dcnal")
    for user_id in ("Bob", "bob", "\u00dcnal"):
        answer = await office.stranger().login(user_id, user_id)
        assert isinstance(answer, LoggedIn)
        assert answer.user_id == user_id
    assert isinstance(await office.stranger().login("\u00fcnal", "\u00dcnal"), LoggedIn), "only one can be meant"
    for password in ("Bob", "bob"):
        assert isinstance(await office.stranger().login("BOB", password), Refused), "it could be either"
    assert await office.stranger().code(requests.CreateUser("BOB", "mine")) == "user_taken"


# ---------------------------------------------------------------- groups


async def test_no_second_group_differs_in_capital_letters_only(office: "Office") -> None:
    ann = await office.enter("ann")
    assert await ann.ask(requests.CreateGroup("Lab")) == Done()
    for group_id in ("Lab", "lab", "LAB"):
        assert await ann.code(requests.CreateGroup(group_id)) == "group_taken"
        taken = await ann.ask(requests.CreateGroup(group_id))
        assert isinstance(taken, results.Refused)
        assert taken.message.startswith("there is a group Lab already")
    assert await ann.ask(requests.LeaveGroup("lab")) == results.Left(None, True)
    assert await ann.ask(requests.CreateGroup("lab")) == Done(), "the name is free again"


async def test_every_request_finds_group_and_account_in_any_capital_letters(office: "Office", clock: "Clock") -> None:
    ann, bob, cid = [await office.enter(name) for name in ("Ann", "Bob", "Cid")]
    await ann.ask(requests.CreateGroup("Lab"))
    for person in (bob, cid):
        assert await person.ask(requests.JoinGroup("LAB")) == Done("Lab")
    assert await bob.code(requests.JoinGroup("lab")) == "already_requested"
    assert await ann.ask(requests.ListRequests("lab")) == results.Requests(["Bob", "Cid"], "Lab")
    assert await ann.ask(requests.RejectRequest("lab", "cid")) == Done("Lab", "Cid")
    assert await ann.ask(requests.AcceptRequest("lAB", "BOB")) == Done("Lab", "Bob")
    assert bob.events == [events.RequestAnswered("Lab", True)]
    await transfer_a_file(ann, bob, clock)
    assert await ann.ask(requests.TransferOwnership("LAB", "bob")) == Done("Lab", "Bob")
    assert bob.events[-1] == events.OwnerChanged("Lab", "Bob")
    audit = await bob.ask(requests.FetchAudit("lab"))
    assert isinstance(audit, results.Audit)
    assert audit.group_id == "Lab"
    assert {entry.subject for entry in audit.entries} == {"", "Bob", "Cid"}
    assert await bob.ask(requests.RemoveMember("lab", "ANN")) == Done("Lab", "Ann")
    removed = ann.events[-1]
    assert isinstance(removed, events.GroupEpoch)
    assert (removed.group_id, removed.removed) == ("Lab", "Ann")
    assert await bob.ask(requests.ListGroups()) == results.Groups([results.GroupEntry("Lab", "Bob", 1, "owner")])
    assert await bob.ask(requests.LeaveGroup("LAB")) == results.Left(None, True)


def test_no_request_that_names_a_group_or_an_account_is_forgotten_here() -> None:
    """A group is looked up in one place, before the request's own code; an account by that code."""
    kinds = typing.get_args(requests.Request)
    for kind in kinds:
        if "group_id" in kind.__struct_fields__ and kind is not requests.CreateGroup:
            handler = HANDLERS[kind]
            assert isinstance(handler, Handler)
            assert handler.least_standing is not None
    assert {kind for kind in kinds if "user_id" in kind.__struct_fields__} == {
        requests.CreateUser, requests.Login, requests.RemoveMember, requests.TransferOwnership,
        requests.AcceptRequest, requests.RejectRequest,
    }  # fmt: skip


async def transfer_a_file(ann: Person, bob: Person, clock: "Clock") -> None:
    """All that is asked on the way of a file from one to the other."""
    assert await ann.ask(a_file("LAB", "data")) == manifests.Published(False)
    assert await ann.ask(announce(share("Lab"))) == results.Announced([])
    listed = await bob.ask(requests.ListFiles("lab"))
    assert isinstance(listed, results.Files)
    assert listed.group_id == "Lab"
    assert [(entry.name, entry.publisher, entry.sharers_online) for entry in listed.files] == [("data", "Ann", 1)]
    manifest = await bob.ask(manifests.FetchManifest("lab", "data", 5))
    assert isinstance(manifest, manifests.Manifest)
    assert [peer.user_id for peer in manifest.peers] == ["Ann"]
    found = await bob.ask(requests.FindPeers("lab", bytes(32), 5))
    assert isinstance(found, results.Peers)
    assert len(found.peers) == 1
    ticket = await bob.ask(requests.GetTicket("lab"))
    assert isinstance(ticket, results.Ticket)
    assert ticket.group_id == "Lab"
    async with bob.service._store.reading() as db:
        keys = await find_trusted_keys(db, clock.now_s)
    claims = tickets.check(ticket.ticket, keys, clock.now_s)
    assert (claims.user_id, claims.group_id) == ("Bob", "Lab"), "peers compare it letter by letter"
    assert await ann.ask(requests.Withdraw("lab", "data")) == results.Withdrawn(True)


async def test_who_is_not_there_is_not_found_in_any_capital_letters(office: "Office") -> None:
    ann, _ = await office.gather("lab", "ann", "bob")
    await office.enter("cid")
    for request in (requests.RemoveMember("lab", "CID"), requests.TransferOwnership("lab", "CID")):
        assert await ann.code(request) == "no_such_member"
    assert await ann.code(requests.AcceptRequest("lab", "CID")) == "no_such_request"
    assert await ann.code(requests.RemoveMember("lab", "ANN")) == "bad_request"


async def test_a_refusal_names_group_and_account_as_their_makers_did(office: "Office") -> None:
    ann, bob = await office.gather("Lab", "Ann", "Bob")
    cid = await office.enter("Cid")
    refused: list[tuple[Person, requests.Request, str]] = [
        (ann, requests.RemoveMember("LAB", "cID"), "Cid is not a member of Lab"),
        (ann, requests.TransferOwnership("LAB", "cID"), "Cid is not a member of Lab"),
        (ann, requests.TransferOwnership("LAB", "nObody"), "nObody is not a member of Lab"),
        (ann, requests.AcceptRequest("LAB", "cID"), "Cid has not asked to join Lab"),
        (ann, requests.RejectRequest("LAB", "cID"), "Cid has not asked to join Lab"),
        (bob, requests.ListRequests("LAB"), "only the owner of Lab, Ann, may do that"),
        (cid, requests.ListFiles("LAB"), "you are not a member of Lab"),
    ]
    for person, request, sentence in refused:
        answer = await person.ask(request)
        assert isinstance(answer, results.Refused)
        assert answer.message == sentence


# ---------------------------------------------------------------- files


async def test_a_name_stands_for_one_content_in_every_normal_form(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    assert await ann.ask(a_file("lab", DECOMPOSED)) == manifests.Published(False)
    assert await bob.ask(a_file("lab", DECOMPOSED)) == manifests.Published(True)
    assert await bob.ask(a_file("lab", COMPOSED)) == manifests.Published(True, spelling=DECOMPOSED)
    assert await bob.code(a_file("lab", COMPOSED, root=b"\x02" * 32)) == "file_conflict"
    listed = await bob.ask(requests.ListFiles("lab"))
    assert isinstance(listed, results.Files)
    assert [entry.name for entry in listed.files] == [DECOMPOSED]
    for name in (COMPOSED, DECOMPOSED):
        manifest = await bob.ask(manifests.FetchManifest("lab", name))
        assert isinstance(manifest, manifests.Manifest)
        assert manifest.name == DECOMPOSED
    assert await ann.ask(requests.Withdraw("lab", COMPOSED)) == results.Withdrawn(True)
    assert await ann.code(manifests.FetchManifest("lab", DECOMPOSED)) == "no_such_file"
    assert await bob.ask(a_file("lab", COMPOSED)) == manifests.Published(False), "the name is free again"


async def test_capital_letters_make_another_file(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    for number, name in enumerate(("Data", "data", "DATA")):
        assert await ann.ask(a_file("lab", name, root=bytes([number]) * 32)) == manifests.Published(False)


@pytest.mark.parametrize("name", ["\u3164", "\u2800", "\u200d", " ", "\u00a0 \ufeff"], ids=ascii)
async def test_a_name_of_nothing_visible_is_not_published(office: "Office", name: str) -> None:
    (ann,) = await office.gather("lab", "ann")
    assert await ann.code(a_file("lab", name)) == "bad_name"


async def test_older_files_that_clash_go_on_and_no_further_one_joins_them(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    mixed = "\u00e9\u00e9", "\u00e9e\u0301", "e\u0301\u00e9"
    roots = {name: bytes([number]) * 32 for number, name in enumerate(mixed[:2])}
    for number, (name, root) in enumerate(roots.items()):
        await ann.ask(a_file("lab", f"for now {number}", root))
        async with office.store.changing() as db:
            older = {"name": name, "normal": mixed[0], "apart": name}
            await db.execute(update(schema.files).where(schema.files.c.root == root).values(older))
    for name, root in roots.items():
        assert await ann.ask(a_file("lab", name, root)) == manifests.Published(True)
        manifest = await ann.ask(manifests.FetchManifest("lab", name))
        assert isinstance(manifest, manifests.Manifest)
        assert (manifest.name, manifest.root) == (name, root)
    assert await ann.code(manifests.FetchManifest("lab", mixed[2])) == "no_such_file", "it could be either"
    assert await ann.code(a_file("lab", mixed[2], b"\x09" * 32)) == "file_conflict", "nor does it replace either"
    assert await ann.ask(requests.Withdraw("lab", mixed[0])) == results.Withdrawn(True)
    assert await bob.code(a_file("lab", mixed[0], b"\x09" * 32)) == "file_conflict"
    assert await ann.ask(requests.Withdraw("lab", mixed[1])) == results.Withdrawn(True)
    assert await bob.ask(a_file("lab", mixed[0], b"\x09" * 32)) == manifests.Published(False)


async def test_the_publisher_replaces_a_file_under_another_form_of_its_name(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    await ann.ask(a_file("lab", DECOMPOSED))
    answer = await ann.ask(a_file("lab", COMPOSED, b"\x09" * 32))
    assert answer == manifests.Published(False, has_replaced=True)
    listed = await ann.ask(requests.ListFiles("lab"))
    assert isinstance(listed, results.Files)
    assert [(entry.name, entry.root) for entry in listed.files] == [(COMPOSED, b"\x09" * 32)]
