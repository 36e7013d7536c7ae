"""Another key signs the tickets, and nobody but the holder of the old one notices."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import select

from tests.tracker.conftest import START_S, Person, another_tracker
from tracker import admin
from tracker.admin import rotate_key
from tracker.client.client import TrackerClient
from tracker.protocol import requests, results, tickets
from tracker.protocol.events import TicketKeys
from tracker.protocol.types import TrustedKey
from tracker.settings import TICKET_KEY_LEAD_S, TICKET_LIFE_S
from tracker.store import schema
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import StoreError
from tracker.store.ticket_keys import find_signing_key, find_trusted_keys

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.tracker.conftest import Clock, Ear, Office, Town

Known = dict[str, TrustedKey]


async def known_to(person: Person) -> Known:
    answer = await person.ask(requests.Renew())
    assert isinstance(answer, results.LoggedIn)
    return answer.ticket_keys


async def ticket_of(person: Person) -> str:
    answer = await person.ask(requests.GetTicket("lab"))
    assert isinstance(answer, results.Ticket)
    return answer.ticket


async def test_every_ticket_holds_to_its_end_with_whoever_heard_of_its_key_within_the_lead(
    office: "Office", clock: "Clock"
) -> None:
    """Through several changes, one of which comes before the last is over."""
    (ann,) = await office.gather("lab", "ann")
    told: list[tuple[float, Known]] = [(clock.now_s, await known_to(ann))]
    living: list[tuple[float, str]] = []
    signed_with = set()
    for second in range(0, 2400, 60):
        clock.now_s = START_S + TICKET_KEY_LEAD_S + second
        if second in (60, 120, 900, 1800):
            await rotate_key(office.store, TICKET_KEY_LEAD_S, clock.now_s)
            told.append((clock.now_s, await known_to(ann)))
        living.append((clock.now_s + TICKET_LIFE_S, await ticket_of(ann)))
        signed_with.add(jwt.get_unverified_header(living[-1][1])["kid"])
        living = [(end_s, ticket) for end_s, ticket in living if end_s > clock.now_s]
        latecomer = next(keys for at_s, keys in reversed(told) if at_s <= clock.now_s - TICKET_KEY_LEAD_S)
        for keys in (latecomer, told[-1][1]):
            for end_s, ticket in living:
                assert tickets.check(ticket, keys, clock.now_s).expires_at_s == pytest.approx(end_s, rel=0, abs=1e-3)
    assert len(signed_with) == 5


async def test_a_key_is_told_before_it_signs_and_believed_until_its_last_ticket_ends(
    office: "Office", clock: "Clock"
) -> None:
    (ann,) = await office.gather("lab", "ann")
    (old,) = await known_to(ann)
    begin_s = clock.now_s
    new = await rotate_key(office.store, 60, begin_s)
    end_s = begin_s + 60 + TICKET_LIFE_S
    for at_s, signs, believed in (
        (begin_s, old, {old, new}), (begin_s + 59, old, {old, new}), (begin_s + 60, new, {old, new}),
        (end_s - 1, new, {old, new}), (end_s, new, {new}), (begin_s - 1e6, old, {old, new}),
    ):  # fmt: skip
        async with office.store.reading() as db:
            assert (await find_signing_key(db, at_s)).kid == signs
            found = await find_trusted_keys(db, at_s)
        assert set(found) == believed
        assert {kid: key.ends_at_s for kid, key in found.items()}.get(old, end_s) == end_s


async def test_a_ticket_by_a_stolen_key_is_refused_once_that_key_has_ended(office: "Office", clock: "Clock") -> None:
    (ann,) = await office.gather("lab", "ann")
    async with office.store.reading() as db:
        stolen = await find_signing_key(db, clock.now_s)
    await rotate_key(office.store, 60, clock.now_s)
    keys = await known_to(ann)  # and hears nothing more
    clock.now_s += 60 + TICKET_LIFE_S
    forged = tickets.sign(
        stolen.private, stolen.kid, user_id="ann", group_id="lab", epoch=9, thumbprint=bytes(32), now_s=clock.now_s,
        life_s=600,
    )  # fmt: skip
    with pytest.raises(tickets.BadTicket, match="not used any more"):
        tickets.check(forged, keys, clock.now_s)


async def test_all_trackers_of_a_store_tell_their_clients_and_change_over_together(
    office: "Office", clock: "Clock"
) -> None:
    second = another_tracker(office)
    (ann,) = await office.gather("lab", "ann")
    there = second.stranger()
    assert isinstance(await there.login("ann", "pw ann"), results.LoggedIn)
    new = await rotate_key(office.store, 60, clock.now_s)
    for place, person in ((office, ann), (second, there)):
        await place.service.hear_news()
        (told,) = [event for event in person.events if isinstance(event, TicketKeys)]
        assert new in told.keys
        assert told.keys == await known_to(person)
    for _ in range(2):
        kids = {jwt.get_unverified_header(await ticket_of(person))["kid"] for person in (ann, there)}
        assert len(kids) == 1
        assert (kids == {new}) == (clock.now_s >= START_S + 60)
        clock.now_s += 60


async def test_keys_that_ended_are_forgotten_and_each_change_is_in_the_audit_log(
    office: "Office", clock: "Clock"
) -> None:
    made = []
    for _ in range(4):
        made.append(await rotate_key(office.store, 60, clock.now_s))
        clock.now_s += 3600
    async with office.store.reading() as db:
        assert len(list(await db.scalars(select(schema.ticket_keys.c.number)))) == 2
        noted = select(schema.audit.c.subject).where(schema.audit.c.action == "ticket_key_added")
        assert list(await db.scalars(noted)) == made


def test_a_change_of_the_key_needs_a_database_and_a_time_that_can_be(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="--state"):
        admin.run(["rotate-key", "--state", str(tmp_path)])
    for after in ("0", "nan", "soon"):
        with pytest.raises(SystemExit):
            admin.run(["rotate-key", "--after", after])
    assert list(tmp_path.iterdir()) == []


async def test_a_client_hears_of_a_key_at_once_or_when_it_is_back(town: "Town", make_ear: "Callable[[], Ear]") -> None:
    first, ear = town.trackers[0], make_ear()
    client = TrackerClient([first.address], town.authority_pem, ear)
    await client.start()
    await client.call(requests.CreateUser("ann", "pw"))
    await client.login("ann", "pw", Ed25519PrivateKey.generate())
    kid = await rotate_key(first.store, 60, time.time())
    assert kid in await heard_by(ear)
    await town.shut(first)
    store = await open_store(town.state_dir)
    kid = await rotate_key(store, 60, time.time())
    await store.close()
    await town.open_tracker(first.address.port)
    assert kid in await heard_by(ear)
    await client.close()


async def heard_by(ear: "Ear") -> Known:
    identity = await ear.identities.get()
    assert identity is not None
    return identity.ticket_keys
