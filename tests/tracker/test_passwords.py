import asyncio
import contextlib
import os

import pytest

from tracker.passwords import Cost, DeskBusy, PasswordDesk, Passwords

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
    hosts = [f"192.0.2.{number}" for number in range(20)]
    answers = await asyncio.gather(
        *(desk.verify_password(host, None, "x") for host in hosts for _ in range(20)), return_exceptions=True
    )
    assert {type(answer) for answer in answers} == {bool, DeskBusy}
    assert await desk.verify_password("192.0.2.1", None, "x") is False


async def test_a_flood_from_one_address_does_not_keep_another_waiting() -> None:
    desk = PasswordDesk(Passwords(CHEAP))
    ended: list[str] = []

    async def ask(host: str) -> None:
        with contextlib.suppress(DeskBusy):
            await desk.verify_password(host, None, "x")
            ended.append(host)

    async with asyncio.TaskGroup() as group:
        for _ in range(200):
            group.create_task(ask("flood"))
        group.create_task(ask("honest"))
    assert len(ended) < 40
    assert ended.index("honest") <= len(os.sched_getaffinity(0)) + 2


async def test_many_addresses_that_guess_wait_behind_one_that_does_not() -> None:
    desk = PasswordDesk(Passwords(CHEAP))
    ended: list[str] = []

    async def ask(host: str, wrong_lately: int) -> None:
        await desk.verify_password(host, None, "x", wrong_lately)
        ended.append(host)

    async with asyncio.TaskGroup() as group:
        for number in range(40):
            group.create_task(ask(f"192.0.2.{number}", 5))
        group.create_task(ask("honest", 1))
    assert ended.index("honest") <= len(os.sched_getaffinity(0)) + 1


async def test_a_full_house_sends_the_last_of_the_longest_line_away() -> None:
    desk = PasswordDesk(Passwords(CHEAP))
    hosts = [f"192.0.2.{number}" for number in range(20)]
    crowd = [asyncio.create_task(desk.verify_password(host, None, "x")) for host in hosts for _ in range(16)]
    honest = asyncio.create_task(desk.verify_password("honest", None, "x"))
    assert await honest is False
    await asyncio.gather(*crowd, return_exceptions=True)


async def test_whoever_leaves_the_line_gives_the_place_up() -> None:
    desk = PasswordDesk(Passwords(CHEAP))
    free = desk._free
    waiting = [asyncio.create_task(desk.verify_password("host", None, "x")) for _ in range(10)]
    await asyncio.sleep(0)
    for task in waiting[1::2]:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert desk._free == free
    assert await desk.verify_password("host", None, "x") is False


@pytest.mark.parametrize("password", ["\ud800", "é", "\0"])
def test_any_string_can_be_a_password(password: str) -> None:
    passwords = Passwords(CHEAP)
    assert passwords.verify_password(passwords.hash_password(password), password)
