import asyncio
import contextlib
import os
import unicodedata

import pytest
from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st

from tracker.service.passwords import Cost, PasswordQueue, PasswordQueueFull, Passwords, prepare

CHEAP = Cost(passes=1, memory_kib=8)
NFC, NFD = "pass\u00e9", "passe\u0301"


def older_hash(password: str) -> str:
    """As it was made before forms of a password were looked at."""
    return PasswordHasher(CHEAP.passes, CHEAP.memory_kib, parallelism=1).hash(password)


class CountedPasswords(Passwords):
    """Counts the argon2 runs."""

    runs = 0

    def _is_of(self, argon2_hash: str, form: str) -> bool:
        self.runs += 1
        return super()._is_of(argon2_hash, form)


def test_only_the_right_password_passes() -> None:
    passwords = Passwords(CHEAP)
    hashed = passwords.hash_password("correct horse")
    assert "$argon2id$" in hashed
    assert passwords.verify_password(hashed, "correct horse")
    assert not passwords.verify_password(hashed, "correct horse ")


def test_nobody_has_no_password() -> None:
    assert not Passwords(CHEAP).verify_password(None, "the password of nobody")


def test_a_damaged_hash_lets_nobody_in() -> None:
    assert not Passwords(CHEAP).verify_password("not a hash", "x")


def test_a_hash_of_another_cost_is_to_be_made_anew() -> None:
    hashed = Passwords(CHEAP).hash_password("x")
    assert not Passwords(CHEAP).needs_rehash(hashed, "x")
    assert Passwords(Cost(passes=2, memory_kib=8)).needs_rehash(hashed, "x")


async def test_the_line_before_the_desk_is_bounded() -> None:
    state = PasswordQueue(Passwords(CHEAP))
    hosts = [f"192.0.2.{number}" for number in range(20)]
    answers = await asyncio.gather(
        *(state.verify_password(host, None, "x") for host in hosts for _ in range(20)), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {bool, PasswordQueueFull}
    assert await state.verify_password("192.0.2.1", None, "x") is False


async def test_a_flood_from_one_address_does_not_keep_another_waiting() -> None:
    state = PasswordQueue(Passwords(CHEAP))
    ended: list[str] = []

    async def ask(host: str) -> None:
        with contextlib.suppress(PasswordQueueFull):
            await state.verify_password(host, None, "x")
            ended.append(host)

    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(ask("flood"))
        group.create_task(ask("honest"))
    assert len(ended) < 40
    assert ended.index("honest") <= len(os.sched_getaffinity(0)) + 2


async def test_many_addresses_that_guess_wait_behind_one_that_does_not() -> None:
    state = PasswordQueue(Passwords(CHEAP))
    ended: list[str] = []

    async def ask(host: str, wrong_lately: int) -> None:
        await state.verify_password(host, None, "x", wrong_lately)
        ended.append(host)

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(ask(f"192.0.2.{number}", 5))
        group.create_task(ask("honest", 1))
    assert ended.index("honest") <= len(os.sched_getaffinity(0)) + 1


async def test_a_full_house_sends_the_last_of_the_longest_line_away() -> None:
    state = PasswordQueue(Passwords(CHEAP))
    hosts = [f"192.0.2.{number}" for number in range(20)]
    crowd = [asyncio.create_task(state.verify_password(host, None, "x")) for host in hosts for _ in range(16)]
    honest = asyncio.create_task(state.verify_password("honest", None, "x"))
    assert await honest is False
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_whoever_leaves_the_line_gives_the_place_up() -> None:
    state = PasswordQueue(Passwords(CHEAP))
    free = state._free
    waiting = [asyncio.create_task(state.verify_password("host", None, "x")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waiting[1::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert state._free == free
    assert await state.verify_password("host", None, "x") is False


@pytest.mark.parametrize("password", ["\ud800", "é", "\0"])
def test_any_string_can_be_a_password(password: str) -> None:
    passwords = Passwords(CHEAP)
    assert passwords.verify_password(passwords.hash_password(password), password)


# ---------------------------------------------------------------- forms of one password (RFC 8265)


@pytest.mark.parametrize("other", ["pass\u00e9", "passe\u0301"])
@pytest.mark.parametrize("first", ["pass\u00e9", "passe\u0301"])
def test_a_password_is_the_same_in_every_normal_form(first: str, other: str) -> None:
    passwords = Passwords(CHEAP)
    assert passwords.verify_password(passwords.hash_password(first), other)


@pytest.mark.parametrize("space", ["\u00a0", "\u1680", "\u2002", "\u202f", "\u205f", "\u3000"])
def test_every_kind_of_space_is_a_space(space: str) -> None:
    passwords = Passwords(CHEAP)
    assert passwords.verify_password(passwords.hash_password(f"correct{space}horse"), "correct horse")


@pytest.mark.parametrize(
    ("one", "other"), [("\uff21", "A"), ("a", "A"), ("\ufb01", "fi"), ("a", "\u0430"), (" a", "a")]
)
def test_width_case_and_what_merely_looks_alike_are_told_apart(one: str, other: str) -> None:
    passwords = Passwords(CHEAP)
    assert not passwords.verify_password(passwords.hash_password(one), other)


@pytest.mark.parametrize("made_of", [NFC, NFD, "a\u00a0b", "plain"])
def test_a_hash_from_before_opens_with_what_it_was_made_of(made_of: str) -> None:
    assert Passwords(CHEAP).verify_password(older_hash(made_of), made_of)


def test_a_hash_of_another_form_is_to_be_made_anew_once() -> None:
    passwords = Passwords(CHEAP)
    assert passwords.needs_rehash(older_hash(NFD), NFD)
    renewed = passwords.hash_password(NFD)
    assert not passwords.needs_rehash(renewed, NFD)
    assert passwords.verify_password(renewed, NFC)
    for prepared in (NFC, "plain"):
        assert not passwords.needs_rehash(older_hash(prepared), prepared), "it is of the prepared form already"


@pytest.mark.parametrize("sent", ["plain", NFC, NFD, "a\u00a0b"])
def test_the_work_depends_on_what_was_sent_alone(sent: str) -> None:
    passwords, runs = CountedPasswords(CHEAP), set()
    right = [passwords.hash_password(sent), older_hash(sent), older_hash(prepare(sent))]
    for password_hash in [*right, passwords.hash_password("other"), older_hash("other"), None]:
        passwords.runs = 0
        assert passwords.verify_password(password_hash, sent) == (password_hash in right)
        runs.add(passwords.runs)
    assert runs == {1 if prepare(sent) == sent else 2}


@given(st.text())
def test_preparing_twice_changes_nothing_and_every_normal_form_is_prepared_alike(password: str) -> None:
    prepared = prepare(password)
    assert prepare(prepared) == prepared
    assert prepare(unicodedata.normalize("NFC", password)) == prepared
    assert prepare(unicodedata.normalize("NFD", password)) == prepared
    assert bool(prepared) == bool(password)
    if password.isascii():
        assert prepared == password
