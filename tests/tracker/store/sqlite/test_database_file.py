"""Copies of the database: whole, private, made while it is used, put back only while it is not."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tracker.rules.permissions import Refusal, check_alive
from tracker.store import accounts, groups
from tracker.store.keyring import load_keyring
from tracker.store.sqlite.database_file import back_up, check_database, restore
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store, StoreError


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def opened(state: Path, *user_ids: str) -> Store:
    store = await open_store(state)
    async with store.changing() as db:
        for user_id in user_ids:
            await accounts.add_account(db, user_id, "hash", 0)
            await groups.add_group(db, f"group of {user_id}", user_id, False, 0)
    return store


async def names_of_accounts(state: Path) -> list[str]:
    with closing(sqlite3.connect(state / "tracker.db")) as connection:
        return [user_id for (user_id,) in connection.execute("SELECT user_id FROM accounts ORDER BY user_id")]


async def test_a_copy_is_made_while_a_tracker_runs_and_nobody_else_may_read_it(state: Path, tmp_path: Path) -> None:
    store = await opened(state, "ann")
    assert back_up(state, tmp_path / "copy") == "1 accounts, 1 groups, 0 files"
    async with store.changing() as db:  # it goes on
        await accounts.add_account(db, "bob", "hash", 0)
    await store.close()
    assert (tmp_path / "copy").stat().st_mode & 0o077 == 0
    assert not list(tmp_path.glob("copy?*"))


async def test_a_copy_put_back_brings_its_accounts_and_keys_and_keeps_what_it_replaces(
    state: Path, tmp_path: Path
) -> None:
    store = await opened(state, "ann")
    authority = (await load_keyring(store, 1.8e9)).pem
    back_up(state, tmp_path / "copy")
    async with store.changing() as db:
        await accounts.add_account(db, "bob", "hash", 0)
    await store.close()
    assert restore(tmp_path / "copy", state) == "1 accounts, 1 groups, 0 files"
    assert await names_of_accounts(state) == ["ann"]
    (replaced,) = state.glob("tracker.db.replaced-*")
    with closing(sqlite3.connect(replaced)) as connection:
        assert connection.execute("SELECT count(*) FROM accounts").fetchone() == (2,)
    store = await open_store(state)
    assert (await load_keyring(store, 1.8e9)).pem == authority
    await store.close()


async def test_no_epoch_given_since_the_copy_is_given_again(state: Path, tmp_path: Path) -> None:
    store = await opened(state, "ann")
    back_up(state, tmp_path / "copy")
    async with store.changing() as db:
        newest = max([await groups.raise_epoch(db, "group of ann") for _ in range(100)])
    await store.close()
    restore(tmp_path / "copy", state)
    store = await open_store(state)
    async with store.changing() as db:
        _, group = await groups.find_standing(db, "ann", "group of ann")
        assert group is not None
        assert group.epoch > newest
        assert await groups.raise_epoch(db, "group of ann") > group.epoch
    await store.close()


async def test_no_session_from_before_a_copy_was_put_back_goes_on(state: Path, tmp_path: Path) -> None:
    """One that was revoked since the copy was made would be alive again, or after the next revocation."""
    store = await opened(state, "ann")
    key = bytes(32)
    async with store.changing() as db:
        before = await accounts.revoke_sessions(db, "ann", key)
    back_up(state, tmp_path / "copy")
    async with store.changing() as db:
        since = [await accounts.revoke_sessions(db, "ann", b"\x01" * 32) for _ in range(100)]
    await store.close()
    restore(tmp_path / "copy", state)
    store = await open_store(state)
    async with store.reading() as db:
        present, _ = await groups.find_standing(db, "ann", None)
    await store.close()
    assert present is not None
    assert present.number > max(each.number for each in since)
    for each in (before, *since):
        with pytest.raises(Refusal, match="log in again"):
            check_alive(present, each.number, key)


async def test_a_database_in_use_is_not_replaced(state: Path, tmp_path: Path) -> None:
    store = await opened(state, "ann")
    back_up(state, tmp_path / "copy")
    with pytest.raises(StoreError, match="end it first"):
        restore(tmp_path / "copy", state)
    await store.close()
    restore(tmp_path / "copy", state)


async def test_a_damaged_database_is_replaced_by_a_copy(state: Path, tmp_path: Path) -> None:
    await (await opened(state, "ann")).close()
    back_up(state, tmp_path / "copy")
    (state / "tracker.db").write_bytes(b"\xff" * 10_000)
    with pytest.raises(StoreError, match="python -m tracker restore"):
        await open_store(state)
    restore(tmp_path / "copy", state)
    assert await names_of_accounts(state) == ["ann"]


async def test_what_is_no_good_copy_is_not_put_back(state: Path, tmp_path: Path) -> None:
    await (await opened(state, "ann")).close()
    before = (state / "tracker.db").read_bytes()
    copy = tmp_path / "copy"
    with pytest.raises(StoreError, match="no copy"):
        restore(copy, state)
    back_up(state, copy)
    content = bytearray(copy.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xee" * 8192
    copy.write_bytes(content)
    with pytest.raises(StoreError, match="damaged"):
        restore(copy, state)
    assert (state / "tracker.db").read_bytes() == before


async def test_nothing_is_overwritten_by_a_backup(state: Path, tmp_path: Path) -> None:
    await (await opened(state, "ann")).close()
    (tmp_path / "copy").write_bytes(b"precious")
    with pytest.raises(StoreError, match="exists"):
        back_up(state, tmp_path / "copy")
    with pytest.raises(StoreError, match="no database"):
        back_up(tmp_path / "nowhere", tmp_path / "other")
    with pytest.raises(StoreError, match="cannot be written"):
        back_up(state, tmp_path / "no such folder" / "copy")
    assert (tmp_path / "copy").read_bytes() == b"precious"


async def test_damage_anywhere_in_the_file_is_reported_and_the_file_left_as_it_is(state: Path) -> None:
    await (await opened(state, *(f"user{number:04}" for number in range(300)))).close()
    path = state / "tracker.db"
    good = path.read_bytes()
    page_count = len(good) // 4096
    reported = 0
    for page in range(page_count):
        damaged = bytearray(good)
        damaged[page * 4096 : page * 4096 + 64] = b"\xa5" * 64
        path.write_bytes(damaged)
        try:
            check_database(path)
        except StoreError:
            reported += 1
        assert path.read_bytes() == damaged
    assert reported == page_count
