"""Who may make an account, how long guessers wait, and what is written down about it."""

import asyncio
import contextlib
import random
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete, select, update
from sqlalchemy.exc import SQLAlchemyError

from tests.tracker.conftest import CHEAP, Person
from tracker.protocol import events, requests, results
from tracker.protocol.invite_codes import invite_digest, invite_text, parse_invite
from tracker.protocol.results import Done, LoggedIn, Refused
from tracker.rules.throttle import ENTRIES_MAX, Throttle
from tracker.service.dispatch import Service
from tracker.service.passwords import Passwords
from tracker.settings import INVITES_PER_ACCOUNT_MAX, Policy
from tracker.store import accounts, schema

if TYPE_CHECKING:
    from tests.tracker.conftest import Clock, Office

HERE, THERE = "192.0.2.1", "198.51.100.7"


# ---------------------------------------------------------------- throttling, without a tracker


def wrong(throttle: Throttle, times: int, user_id: str = "ann", host: str = HERE, now_s: float = 0.0) -> None:
    for _ in range(times):
        throttle.begin(user_id, host, now_s)


def test_the_delay_of_a_guesser_grows_and_is_forgotten() -> None:
    throttle = Throttle()
    delays = []
    for tries in range(1, 20):
        wrong(throttle, 1)
        delays.append(throttle.refused_for_s("ann", HERE, 0.0))
        assert (tries < 5) == (delays[-1] == 0)
    assert delays[4:8] == [1, 2, 4, 8]
    assert delays == sorted(delays)
    assert delays[-1] == 300
    assert throttle.refused_for_s("ann", HERE, 299.0) == 1
    assert throttle.refused_for_s("ann", HERE, 300.0) == 0
    assert throttle.refused_for_s("ann", HERE, 1000.0) == 0
    wrong(throttle, 1, now_s=1000.0)
    assert throttle.refused_for_s("ann", HERE, 1000.0) == 0


def test_a_clock_that_is_set_back_makes_nobody_wait_longer_than_the_rule() -> None:
    throttle = Throttle()
    wrong(throttle, 8, now_s=100_000.0)
    assert throttle.refused_for_s("ann", HERE, 100.0) == 8
    assert throttle.refused_for_s("ann", HERE, 104.0) == 4
    assert throttle.refused_for_s("ann", HERE, 108.0) == 0


def test_strangers_cannot_lock_an_owner_out() -> None:
    throttle = Throttle()
    for number in range(2000):
        wrong(throttle, 3, host=f"203.0.113.{number}")
    assert throttle.refused_for_s("ann", HERE, 0.0) == 0
    assert throttle.begin("ann", HERE, 0.0) == 8.0  # late, but never refused
    throttle.succeeded("ann", HERE)
    assert throttle.begin("ann", HERE, 0.0) == 0.0
    throttle.succeeded("ann", HERE)
    wrong(throttle, 50, "somebody", HERE)
    assert throttle.refused_for_s("ann", HERE, 0.0) == 0, "whoever shares an address is not punished for another"
    assert throttle.refused_for_s("ben", HERE, 0.0) > 0


def test_own_successes_do_not_pay_for_guesses_at_others() -> None:
    throttle = Throttle()
    for _ in range(60):
        throttle.begin("mallory", HERE, 0.0)
        throttle.succeeded("mallory", HERE)
        throttle.begin(f"victim{secrets.token_hex(4)}", HERE, 0.0)
    assert throttle.refused_for_s("next", HERE, 0.0) > 0


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_a_subscriber_is_a_v4_address_or_a_v6_network(one: str, other: str, is_same: bool) -> None:
    throttle = Throttle()
    wrong(throttle, 10, host=one)
    assert (throttle.refused_for_s("ann", other, 0.0) > 0) == is_same


def test_what_is_remembered_of_guessers_is_bounded() -> None:
    throttle = Throttle()
    for number in range(ENTRIES_MAX + 1000):
        wrong(throttle, 1, f"user{number}", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    for counts in (throttle._pairs, throttle._addresses, throttle._accounts):
        assert len(counts._tries) == ENTRIES_MAX


@given(st.lists(st.tuples(st.booleans(), st.floats(-500, 100)), max_size=60))
def test_no_delay_is_ever_negative_or_beyond_the_longest(steps: list[tuple[bool, float]]) -> None:
    throttle, now_s = Throttle(), 0.0
    for is_right, pause_s in steps:
        now_s += pause_s
        assert 0 <= throttle.begin("ann", HERE, now_s) <= 8
        if is_right:
            throttle.succeeded("ann", HERE)
        assert 0 <= throttle.refused_for_s("ann", HERE, now_s) <= 300


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


@given(st.binary(min_size=16, max_size=16))
def test_a_code_survives_being_written_down(code: bytes) -> None:
    text = invite_text(code)
    assert len(text) == 26
    assert parse_invite(text) == parse_invite(f" {text.upper()[:13]}-{text[13:]} ") == code


@given(st.text(max_size=40))
def test_any_text_is_a_code_or_a_value_error(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert len(parse_invite(text)) == 16


# ---------------------------------------------------------------- ownership and the audit log


async def test_a_group_is_given_to_a_member(office: "Office") -> None:
    ann, bob = await office.gather("lab", "ann", "bob")
    await office.enter("eve")
    assert await bob.code(requests.TransferOwnership("lab", "bob")) == "not_owner"
    assert await ann.code(requests.TransferOwnership("lab", "eve")) == "no_such_member"
    assert await ann.code(requests.TransferOwnership("lab", "ann")) == "bad_request"
    assert await ann.ask(requests.TransferOwnership("lab", "bob")) == Done()
    assert bob.events == [events.OwnerChanged("lab", "bob")]
    assert await ann.code(requests.RemoveMember("lab", "bob")) == "not_owner"
    assert await bob.ask(requests.RemoveMember("lab", "ann")) == Done()


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
