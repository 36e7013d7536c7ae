import asyncio

import pytest

from tracker.passwords import Cost, DeskBusy, PasswordDesk, Passwords
from tracker.settings import PASSWORDS_WAITING_MAX

CHEAP = Cost(passes=1, memory_kib=8)


def test_only_the_right_password_passes() -> None:
    passwords = Passwords(CHEAP)
    hashed = passwords.hash_password("correct horse")
    assert hashed.startswith("$argon2id$")
    assert passwords.verify_password(hashed, "correct horse")
    assert not passwords.verify_password(hashed, "correct horse ")


def test_nobody_has_no_password() -> None:
    assert not Passwords(CHEAP).verify_password(None, "the password of nobody")


def test_a_damaged_hash_lets_nobody_in() -> None:
    assert not Passwords(CHEAP).verify_password("not a hash", "x")


def test_a_hash_of_another_cost_is_to_be_made_anew() -> None:
    hashed = Passwords(CHEAP).hash_password("x")
    assert not Passwords(CHEAP).needs_rehash(hashed)
    assert Passwords(Cost(passes=2, memory_kib=8)).needs_rehash(hashed)


async def test_the_line_before_the_desk_is_bounded() -> None:
    desk = PasswordDesk(Passwords(CHEAP))
    answers = await asyncio.gather(
        *(desk.verify_password(None, "x") for _ in range(PASSWORDS_WAITING_MAX * 4)), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {bool, DeskBusy}
    assert await desk.verify_password(None, "x") is False


@pytest.mark.parametrize("password", ["\ud800", "é", "\0"])
def test_any_string_can_be_a_password(password: str) -> None:
    passwords = Passwords(CHEAP)
    assert passwords.verify_password(passwords.hash_password(password), password)
