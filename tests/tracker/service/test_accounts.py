"""Who may make an account, how long guessers wait, and what is written down about it."""

import asyncio
import random
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from tests.tracker.conftest import CHEAP, Person
from tracker.protocol import events, requests, results
from tracker.protocol.invite_codes import invite_digest, invite_text
from tracker.protocol.results import Done, LoggedIn, Refused
from tracker.service.dispatch import Service
from tracker.service.passwords import Passwords
from tracker.settings import INVITES_PER_ACCOUNT_MAX, Policy
from tracker.store import accounts, schema

if TYPE_CHECKING:
    from tests.tracker.conftest import Clock, Office

HERE, THERE = "192.0.2.1", "198.51.100.7"


# ---------------------------------------------------------------- guessing a password


async def test_a_guesser_is_refused_and_the_owner_elsewhere_is_not(office: "Office", clock: "Clock") -> None:
    await office.enter("ann")
    codes = []
    for _ in range(8):
        answer = await office.stranger(THERE).login("ann", "guess")
        assert isinstance(answer, Refused)
        codes.append(answer.code)
    assert codes == ["login_failed"] * 5 + ["throttled"] * 3
    right = await office.stranger(THERE).login("ann", "pw ann")
    assert isinstance(right, Refused), "the password is not even looked at"
    assert isinstance(await office.stranger(HERE).login("ann", "pw ann"), LoggedIn)
    clock.now_s += 2
    assert isinstance(await office.stranger(THERE).login("ann", "pw ann"), LoggedIn)


async def test_the_old_password_is_guessed_no_faster_than_at_the_door(office: "Office") -> None:
    ann = await office.enter("ann")
    codes = [await ann.code(requests.ChangePassword("guess", "mine")) for _ in range(7)]
    assert codes == ["login_failed"] * 5 + ["throttled"] * 2


# ---------------------------------------------------------------- invitations


@pytest.fixture
def invite_office(office: "Office") -> "Office":
    """Takes invited people only; ann was there before."""
    office.service = Service(
        office.store, office.authority, Passwords(CHEAP), office.clock, random.Random(1), Policy("invite")
    )
    return office


async def ann_in(office: "Office") -> Person:
    async with office.store.changing() as db:
        await accounts.add_account(db, "ann", Passwords(CHEAP).hash_password("pw"), 0.0)
    ann = office.stranger()
    assert isinstance(await ann.login("ann", "pw"), LoggedIn)
    return ann


async def test_an_invitation_makes_one_account_in_its_time(invite_office: "Office", clock: "Clock") -> None:
    ann = await ann_in(invite_office)
    code, late = secrets.token_bytes(16), secrets.token_bytes(16)
    assert await ann.ask(requests.CreateInvite(invite_digest(code), 3600)) == results.Invited(clock.now_s + 3600)
    await ann.ask(requests.CreateInvite(invite_digest(late), 60))
    guest = invite_office.stranger()
    assert await guest.code(requests.CreateUser("ben", "pw")) == "invite_needed"
    assert await guest.code(requests.CreateUser("ben", "pw", bytes(16))) == "bad_invite"
    assert await guest.code(requests.CreateUser("a b", "pw", code)) == "bad_name"
    request_id = secrets.token_bytes(16)
    assert await guest.ask(requests.CreateUser("ben", "pw", code), request_id) == Done()
    assert await guest.ask(requests.CreateUser("ben", "pw", code), request_id) == Done()
    assert await guest.code(requests.CreateUser("cid", "pw", code)) == "bad_invite"
    clock.now_s += 61
    assert await guest.code(requests.CreateUser("cid", "pw", late)) == "bad_invite"


async def test_only_accounts_invite_and_not_without_bound(invite_office: "Office") -> None:
    ann = await ann_in(invite_office)
    assert await invite_office.stranger().code(requests.CreateInvite(bytes(32), 3600)) == "not_logged_in"
    for _ in range(INVITES_PER_ACCOUNT_MAX):
        assert isinstance(await ann.ask(requests.CreateInvite(secrets.token_bytes(32), 3600)), results.Invited)
    assert await ann.code(requests.CreateInvite(secrets.token_bytes(32), 3600)) == "too_large"
    invite_office.clock.now_s += 3601
    assert isinstance(await ann.ask(requests.CreateInvite(secrets.token_bytes(32), 3600)), results.Invited)


async def test_the_database_has_no_code_in_it(invite_office: "Office", tmp_path: Path) -> None:
    ann = await ann_in(invite_office)
    code = secrets.token_bytes(16)
    await ann.ask(requests.CreateInvite(invite_digest(code), 3600))
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir() if path.is_file())
    assert invite_digest(code) in stored
    assert code not in stored
    assert invite_text(code).encode() not in stored


# ---------------------------------------------------------------- ownership and the audit log


async def test_a_group_is_given_to_a_member(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await office.enter("eve")
    assert await bob.code(requests.TransferOwnership("lab", "bob")) == "not_owner"
    assert await ann.code(requests.TransferOwnership("lab", "eve")) == "no_such_member"
    assert await ann.code(requests.TransferOwnership("lab", "ann")) == "bad_request"
    assert await ann.ask(requests.TransferOwnership("lab", "bob")) == Done("lab", "bob")
    assert bob.events == [events.OwnerChanged("lab", "bob")]
    assert await ann.code(requests.RemoveMember("lab", "bob")) == "not_owner"
    assert await bob.ask(requests.RemoveMember("lab", "ann")) == Done("lab", "ann")


async def test_the_log_says_who_did_what_to_whom_from_where(office: "Office", clock: "Clock") -> None:
    ann, bob, cy = [await office.enter(name, host) for name, host in (("ann", HERE), ("bob", THERE), ("cy", THERE))]
    await ann.ask(requests.CreateGroup("lab"))
    for person, user_id in ((bob, "bob"), (cy, "cy")):
        await person.ask(requests.JoinGroup("lab"))
        await ann.ask(requests.AcceptRequest("lab", user_id))
    await ann.ask(requests.RemoveMember("lab", "cy"))
    await ann.ask(requests.TransferOwnership("lab", "bob"))
    await ann.ask(requests.LeaveGroup("lab"))
    await ann.code(requests.RemoveMember("lab", "bob"))  # refused: nothing happened, so nothing is in it
    answer = await bob.ask(requests.FetchAudit("lab"))
    assert isinstance(answer, results.Audit)
    assert {entry.at_s for entry in answer.entries} == {clock.now_s}
    assert [(e.actor, e.action, e.subject, e.host) for e in answer.entries] == [
        ("ann", "group_created", "", HERE),
        ("bob", "join_requested", "", THERE),
        ("ann", "request_accepted", "bob", HERE),
        ("cy", "join_requested", "", THERE),
        ("ann", "request_accepted", "cy", HERE),
        ("ann", "member_removed", "cy", HERE),
        ("ann", "ownership_transferred", "bob", HERE),
        ("ann", "member_left", "", HERE),
    ]
    assert await ann.code(requests.FetchAudit("lab")) == "not_member"


async def test_a_new_group_of_an_old_name_does_not_show_the_old_ones_log(office: "Office") -> None:
    (ann,) = await office.gather("lab", "ann")
    await ann.ask(requests.LeaveGroup("lab"))
    eve = await office.enter("eve")
    await eve.ask(requests.CreateGroup("lab"))
    answer = await eve.ask(requests.FetchAudit("lab"))
    assert isinstance(answer, results.Audit)
    assert [entry.actor for entry in answer.entries] == ["eve"]


async def test_the_log_only_grows(office: "Office") -> None:
    await office.gather("lab", "ann")
    for change in (update(schema.audit).values(actor="nobody"), delete(schema.audit)):
        with pytest.raises(SQLAlchemyError, match="only grows"):
            async with office.store.changing() as db:
                await db.execute(change)
    async with office.store.reading() as db:
        actions = list(await db.scalars(select(schema.audit.c.action).order_by(schema.audit.c.number)))
    assert actions == ["account_created", "login", "group_created"]


async def test_an_invitation_whose_code_is_taken_is_refused_and_holds_nobody_else_up(office: "Office") -> None:
    """Changes that wait for each other share a transaction, which an error of the database undoes as a whole."""
    ann, eve = await office.enter("ann"), await office.enter("eve")
    invite = requests.CreateInvite(bytes(32), 60.0)
    assert isinstance(await ann.ask(invite), results.Invited)
    refused, made = await asyncio.gather(eve.ask(invite), ann.ask(requests.CreateGroup("lab")))
    assert isinstance(refused, results.Refused)
    assert refused.code == "bad_request"
    assert made == Done()
