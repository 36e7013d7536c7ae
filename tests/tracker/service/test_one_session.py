"""After `change_password` and `revoke_sessions` one session of the account is alive: the one that asked.

Also if somebody else asked first or at the same time, on the same tracker or on another, if a login was under way, and
if the answer was lost on its way.
"""

import asyncio
import random
import secrets
import threading

import pytest
from argon2 import PasswordHasher

from tests.tracker.conftest import CHEAP, Office, Person
from tests.tracker.service.held_store import INVITE, LAB, Scene, enter, filled, resume, scene, until
from tracker.protocol import authority, requests, results
from tracker.protocol.requests import RevokeSessions
from tracker.protocol.results import Done, LoggedIn, Refused
from tracker.service.dispatch import Service
from tracker.service.passwords import Passwords
from tracker.settings import REVOCATIONS_COUNTED_FOR_S, REVOCATIONS_PER_SESSION_MAX
from tracker.store import accounts

__all__ = ["filled", "scene"]

CHANGE = requests.ChangePassword("pw ann", "better")
ENDING = [RevokeSessions(), CHANGE]


async def is_alive(person: Person) -> bool:
    answers = [await person.ask(request) for request in (requests.GetTicket(LAB), requests.ListGroups())]
    assert len({isinstance(answer, Refused) for answer in answers}) == 1
    return not isinstance(answers[0], Refused)


async def hear_all(scene: Scene) -> None:
    for office in (scene.office, scene.place):
        await office.service.hear_news()


async def present_generation(scene: Scene) -> int:
    async with scene.office.store.reading() as db:
        account = await accounts.find_account(db, "ann")
    assert account is not None
    return account.generation.number


def generation_of(scene: Scene, answer: results.Result) -> int:
    assert isinstance(answer, LoggedIn), answer
    certificate = scene.office.authority.certificate
    return authority.member_of(answer.certificate_pem, certificate, scene.office.clock.now_s).generation


async def code_of_resuming(scene: Scene, person: Person, logged_in: LoggedIn) -> str:
    _, answer = await resume(scene.place, person.key, logged_in)
    return answer.code if isinstance(answer, Refused) else "resumed"


# ---------------------------------------------------------------- two that ask


@pytest.mark.parametrize("thief_asks", [RevokeSessions(), requests.ChangePassword("pw ann", "mine")], ids=repr)
@pytest.mark.parametrize("ann_asks", ENDING, ids=repr)
@pytest.mark.parametrize("first", ["ann", "thief"])
async def test_of_two_that_ask_at_once_the_first_stays_and_the_other_is_out(
    scene: Scene, ann_asks: requests.Request, thief_asks: requests.Request, first: str
) -> None:
    ann, thief = await enter(scene.office, "ann"), await enter(scene.place, "ann")
    third = scene.place.stranger()
    logged_in = await third.login("ann", "pw ann")
    assert isinstance(logged_in, LoggedIn)
    asked = [(ann, ann_asks), (thief, thief_asks)]
    (winner, earlier), (loser, later) = asked if first == "ann" else asked[::-1]
    place = scene.office if first == "ann" else scene.place
    answer = await scene.ask_too_late(winner.ask(earlier), lambda: loser.ask(later), place)
    assert isinstance(answer, Refused)
    assert answer.code == "session_ended"
    for _ in range(2):
        assert [await is_alive(person) for person in (winner, loser, third)] == [True, False, False]
        await hear_all(scene)
    assert await code_of_resuming(scene, third, logged_in) == "session_ended"


async def test_a_thief_that_asks_everything_at_once_gets_nothing_back(scene: Scene) -> None:
    """Before the tracker that it is connected to has heard of the change, made on the other one."""
    ann = await enter(scene.office, "ann")
    thief = scene.place.stranger()
    logged_in = await thief.login("ann", "pw ann")
    assert isinstance(logged_in, LoggedIn)
    async with scene.after_commit(ann.ask(CHANGE)):
        for request in (RevokeSessions(), requests.Renew(), requests.GetTicket(LAB), CHANGE, requests.ListGroups()):
            assert await thief.code(request) == "session_ended"
        assert await code_of_resuming(scene, thief, logged_in) == "session_ended"
    await hear_all(scene)
    assert await is_alive(ann)
    assert isinstance(await ann.ask(requests.Renew()), LoggedIn)


# ---------------------------------------------------------------- a login under way


class SlowPasswords(Passwords):
    """Goes on only when it is told to, once a password was verified."""

    def __init__(self) -> None:
        super().__init__(CHEAP)
        self.has_verified, self.go_on = threading.Event(), threading.Event()

    def verify_password(self, password_hash: str | None, password: str) -> bool:
        is_right = super().verify_password(password_hash, password)
        self.has_verified.set()
        assert self.go_on.wait(10)
        return is_right


def slow_tracker(scene: Scene) -> tuple[Office, SlowPasswords]:
    passwords, office = SlowPasswords(), Office(scene.office.store, scene.office.authority, scene.office.clock)
    office.service = Service(office.store, office.authority, passwords, office.clock, random.Random(3))
    return office, passwords


async def test_an_old_password_that_is_being_verified_while_it_is_changed_opens_nothing(scene: Scene) -> None:
    ann, (slow, passwords) = await enter(scene.office, "ann"), slow_tracker(scene)
    thief = slow.stranger()
    logging_in = asyncio.ensure_future(thief.login("ann", "pw ann"))
    await until(passwords.has_verified.is_set)
    assert isinstance(await ann.ask(CHANGE), LoggedIn)
    passwords.go_on.set()
    assert await logging_in == Refused("login_failed", "the user id or the password is wrong")
    assert thief.connection.session is None


async def test_an_account_that_changes_all_the_time_is_said_to_be_busy(scene: Scene) -> None:
    """A password is verified so often for one request, and not without end."""
    slow, passwords = slow_tracker(scene)
    logging_in = asyncio.ensure_future(slow.stranger().login("ann", "pw ann"))
    passwords.go_on.set()
    while not logging_in.done():
        if passwords.has_verified.is_set():
            passwords.has_verified.clear()
            async with scene.office.store.changing() as db:
                await accounts.change_password_hash(db, "ann", PasswordHasher(1, 8, parallelism=1).hash("pw ann"))
        await asyncio.sleep(0)
    answer = await logging_in
    assert isinstance(answer, Refused)
    assert answer.code == "busy"


async def test_a_session_that_revokes_others_in_a_loop_keeps_nobody_out(scene: Scene) -> None:
    """A thief that has a session and not the password: its owner logs in, and is the only one in afterwards."""
    thief = await enter(scene.place, "ann")
    slow, passwords = slow_tracker(scene)
    ann = slow.stranger()
    logging_in = asyncio.ensure_future(ann.login("ann", "pw ann"))
    await until(passwords.has_verified.is_set)
    assert isinstance(await thief.ask(RevokeSessions()), LoggedIn)
    passwords.go_on.set()
    assert generation_of(scene, await logging_in) == await present_generation(scene)
    await slow.service.hear_news()
    passwords.has_verified.clear()
    passwords.go_on.clear()
    changing = asyncio.ensure_future(ann.ask(CHANGE))
    await until(passwords.has_verified.is_set)
    passwords.go_on.set()
    assert isinstance(await changing, LoggedIn)
    assert await thief.code(RevokeSessions()) == "session_ended"


async def test_a_session_that_revokes_others_in_a_loop_leaves_time_to_change_the_password(scene: Scene) -> None:
    thief = await enter(scene.place, "ann")
    for _ in range(REVOCATIONS_PER_SESSION_MAX):
        assert isinstance(await thief.ask(RevokeSessions()), LoggedIn)
    await hear_all(scene)
    ann = await enter(scene.office, "ann")
    assert {await thief.code(RevokeSessions()) for _ in range(20)} == {"throttled"}
    assert isinstance(await ann.ask(CHANGE), LoggedIn)
    assert isinstance(await ann.ask(RevokeSessions()), LoggedIn)
    assert await thief.code(RevokeSessions()) in ("session_ended", "not_logged_in")


async def test_a_session_may_revoke_others_again_after_a_while_or_by_another_password(scene: Scene) -> None:
    ann = await enter(scene.office, "ann")
    for _ in range(REVOCATIONS_PER_SESSION_MAX):
        assert isinstance(await ann.ask(RevokeSessions()), LoggedIn)
    assert await ann.code(RevokeSessions()) == "throttled"
    scene.office.clock.now_s += REVOCATIONS_COUNTED_FOR_S
    assert isinstance(await ann.ask(RevokeSessions()), LoggedIn)
    assert isinstance(await ann.ask(CHANGE), LoggedIn)


async def test_an_old_password_that_waited_while_it_was_changed_opens_nothing(scene: Scene) -> None:
    ann, thief = await enter(scene.office, "ann"), scene.place.stranger()
    answer = await scene.ask_too_late(ann.ask(CHANGE), lambda: thief.login("ann", "pw ann"))
    assert answer == Refused("login_failed", "the user id or the password is wrong")
    assert thief.connection.session is None
    assert await is_alive(ann)


async def test_a_login_that_makes_the_hash_anew_does_not_bring_the_old_password_back(scene: Scene) -> None:
    async with scene.office.store.changing() as db:
        older = PasswordHasher(CHEAP.passes + 1, CHEAP.memory_kib, parallelism=1).hash("pw ann")
        await accounts.change_password_hash(db, "ann", older)
    ann = scene.office.stranger()
    assert isinstance(await ann.login("ann", "pw ann"), LoggedIn)
    async with scene.office.store.changing() as db:
        await accounts.change_password_hash(db, "ann", older)
    answer = await scene.ask_too_late(ann.ask(CHANGE), lambda: scene.place.stranger().login("ann", "pw ann"))
    assert isinstance(answer, Refused)
    assert isinstance(await scene.place.stranger().login("ann", "pw ann"), Refused)
    assert isinstance(await scene.place.stranger().login("ann", "better"), LoggedIn)


async def test_two_logins_that_make_the_hash_anew_at_once_both_succeed(scene: Scene) -> None:
    async with scene.office.store.changing() as db:
        older = PasswordHasher(CHEAP.passes + 1, CHEAP.memory_kib, parallelism=1).hash("pw ann")
        await accounts.change_password_hash(db, "ann", older)
    first, second = scene.office.stranger(), scene.place.stranger()
    logging_in = first.login("ann", "pw ann")
    assert isinstance(await scene.ask_too_late(logging_in, lambda: second.login("ann", "pw ann")), LoggedIn)
    assert await is_alive(first)
    assert await is_alive(second)


async def test_a_new_password_that_waited_while_all_sessions_were_revoked_opens_the_account(scene: Scene) -> None:
    """It is the account's password before and after."""
    ann, other = await enter(scene.office, "ann"), scene.place.stranger()
    answer = await scene.ask_too_late(ann.ask(RevokeSessions()), lambda: other.login("ann", "pw ann"))
    assert generation_of(scene, answer) == await present_generation(scene)
    assert await is_alive(other)


@pytest.mark.parametrize("ends", ENDING, ids=repr)
async def test_a_revocation_heard_of_between_a_login_and_its_session_ends_it(
    scene: Scene, ends: requests.Request
) -> None:
    ann, thief = await enter(scene.office, "ann"), scene.place.stranger()
    answers: list[results.Result] = []

    async def log_in() -> None:
        answers.append(await thief.login("ann", "pw ann"))

    async with scene.after_commit(log_in()):
        assert isinstance(await ann.ask(ends), LoggedIn)
        await hear_all(scene)
    (answer,) = answers
    assert isinstance(answer, Refused)
    assert answer.code == "session_ended"
    assert thief.connection.session is None
    for office, keys in ((scene.office, 1), (scene.place, int(scene.place is scene.office))):
        assert len(office.service._state.sessions.connections_of("ann")) == keys
    assert await is_alive(ann)


async def test_a_session_that_began_after_the_revocation_is_not_ended_by_the_news_of_it(scene: Scene) -> None:
    ann = await enter(scene.office, "ann")
    async with scene.after_commit(ann.ask(RevokeSessions())):
        later = await enter(scene.place, "ann")
    await hear_all(scene)
    assert await is_alive(later)
    assert await is_alive(ann)


# ---------------------------------------------------------------- an answer that was lost


async def lost_answer(scene: Scene, request: requests.Request) -> tuple[Person, LoggedIn, bytes, Person]:
    """ann asked on the office, and has her certificate from before still; also a connection to the other tracker."""
    ann = scene.office.stranger()
    before = await ann.login("ann", "pw ann")
    assert isinstance(before, LoggedIn)
    elsewhere, _ = await resume(scene.place, ann.key, before)
    request_id = secrets.token_bytes(16)
    assert isinstance(await ann.ask(request, request_id), LoggedIn)
    scene.office.service.hang_up(ann.connection)
    return ann, before, request_id, elsewhere


@pytest.mark.parametrize("request_kind", ENDING, ids=repr)
async def test_a_retry_on_another_connection_has_the_first_answer(scene: Scene, request_kind: requests.Request) -> None:
    thief = await enter(scene.place, "ann")
    _, _, request_id, elsewhere = await lost_answer(scene, request_kind)
    again = [await elsewhere.ask(request_kind, request_id) for _ in range(2)]
    assert again[0] == again[1]
    assert generation_of(scene, again[0]) == await present_generation(scene) == 1
    assert await is_alive(elsewhere)
    assert not await is_alive(thief)
    await hear_all(scene)
    assert await is_alive(elsewhere)


@pytest.mark.parametrize("request_kind", ENDING, ids=repr)
async def test_the_session_resumes_with_its_certificate_from_before_and_has_a_new_one(
    scene: Scene, request_kind: requests.Request
) -> None:
    thief = scene.place.stranger()
    of_thief = await thief.login("ann", "pw ann")
    assert isinstance(of_thief, LoggedIn)
    ann, before, request_id, _ = await lost_answer(scene, request_kind)
    for _ in range(2):
        back, answer = await resume(scene.place, ann.key, before)
        assert generation_of(scene, answer) == await present_generation(scene) == 1
        assert isinstance(await back.ask(request_kind, request_id), LoggedIn)
        assert isinstance(await back.ask(requests.Renew()), LoggedIn)
        assert await code_of_resuming(scene, thief, of_thief) == "session_ended"
        await hear_all(scene)
        assert await is_alive(back)
    assert await present_generation(scene) == 1


@pytest.mark.parametrize("request_kind", ENDING, ids=repr)
async def test_a_retry_while_the_first_try_is_under_way_has_the_same_answer(
    scene: Scene, request_kind: requests.Request
) -> None:
    ann = scene.office.stranger()
    before = await ann.login("ann", "pw ann")
    assert isinstance(before, LoggedIn)
    elsewhere, _ = await resume(scene.place, ann.key, before)
    request_id = secrets.token_bytes(16)
    first: list[results.Result] = []

    async def ask() -> None:
        first.append(await ann.ask(request_kind, request_id))

    second = await scene.ask_too_late(ask(), lambda: elsewhere.ask(request_kind, request_id))
    assert first == [second]
    assert generation_of(scene, second) == await present_generation(scene) == 1


async def test_the_next_revocation_ends_the_session_that_made_the_last_one(scene: Scene) -> None:
    ann, before, _, elsewhere = await lost_answer(scene, RevokeSessions())
    other = await enter(scene.office, "ann")
    assert isinstance(await other.ask(RevokeSessions()), LoggedIn)
    assert not await is_alive(elsewhere)
    assert await code_of_resuming(scene, ann, before) == "session_ended"
    assert await is_alive(other)


async def test_a_session_goes_on_for_as_long_as_the_certificate_of_the_answer(scene: Scene) -> None:
    ann = await enter(scene.office, "ann")
    scene.office.clock.now_s += 20 * 3600
    assert isinstance(await ann.ask(RevokeSessions()), LoggedIn)
    scene.office.clock.now_s += 20 * 3600
    assert await is_alive(ann)


# ---------------------------------------------------------------- accounts


async def test_an_account_asked_for_twice_at_once_by_one_request_is_made_once(scene: Scene) -> None:
    """As by a client whose first tracker fell silent."""
    request, request_id = requests.CreateUser("fay", "pw fay", INVITE), secrets.token_bytes(16)
    making = scene.office.stranger().ask(request, request_id)
    assert await scene.ask_too_late(making, lambda: scene.place.stranger().ask(request, request_id)) == Done()
    assert isinstance(await scene.place.stranger().login("fay", "pw fay"), LoggedIn)


async def test_a_retried_create_user_is_done_by_the_password_of_now_alone(scene: Scene) -> None:
    request, request_id = requests.CreateUser("fay", "pw fay", INVITE), secrets.token_bytes(16)
    assert await scene.office.stranger().ask(request, request_id) == Done()
    fay = await enter(scene.office, "fay")
    slow, passwords = slow_tracker(scene)
    asking = asyncio.ensure_future(slow.stranger().ask(request, request_id))
    await until(passwords.has_verified.is_set)
    assert isinstance(await fay.ask(requests.ChangePassword("pw fay", "better")), LoggedIn)
    passwords.go_on.set()
    answer = await asking
    assert isinstance(answer, Refused)
    assert answer.code == "user_taken"
