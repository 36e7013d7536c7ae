"""A database of any earlier version becomes one of this version, whole or not at all; a later one is left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine

from tracker.rules.permissions import Generation
from tracker.store import accounts, files, groups, manifest_pages, schema
from tracker.store.migrations import versions
from tracker.store.sqlite.database_file import restore
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store, StoreError

STEPS = ScriptDirectory(str(Path(versions.__file__).parent.parent))


def execute(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "tracker.db")) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def ask(path: Path, question: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.execute(question))


def make_first_version(folder: Path) -> None:
    """As it was before versions were counted, with an account."""
    config = Config()
    config.set_main_option("script_location", STEPS.dir)
    engine = create_engine(f"sqlite:///{folder / 'tracker.db'}")
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.exec_driver_sql("DROP TABLE alembic_version")
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('ann', 'hash', 0)")
    engine.dispose()


async def tables(folder: Path) -> list[str]:
    return [str(name) for (name,) in ask(folder / "tracker.db", "SELECT name FROM sqlite_master WHERE type = 'table'")]


async def test_the_steps_make_the_tables_of_the_schema(tmp_path: Path) -> None:
    """Whoever changes `schema` adds a step."""
    store = await open_store(tmp_path)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, schema.metadata))

    async with store.reading() as db:
        assert await db.run_sync(differences) == []
    await store.close()


def test_the_revision_of_the_schema_is_the_last_step() -> None:
    assert STEPS.get_current_head() == schema.REVISION
    assert [step.revision for step in STEPS.walk_revisions()] == sorted(
        (step.revision for step in STEPS.walk_revisions()), reverse=True
    )


async def test_a_database_from_before_is_brought_up_to_date_and_keeps_what_is_in_it(tmp_path: Path) -> None:
    make_first_version(tmp_path)
    store = await open_store(tmp_path)
    async with store.reading() as db:
        assert await accounts.find_account(db, "ann") == accounts.Account("hash", Generation(0, None))
    await store.close()
    assert ask(tmp_path / "tracker.db", "SELECT version_num FROM alembic_version") == [(schema.REVISION,)]


async def test_a_manifest_of_more_than_a_page_is_cut_into_pages(tmp_path: Path) -> None:
    make_first_version(tmp_path)
    leaves = bytes(range(256)) * (5 << 10)
    with closing(sqlite3.connect(tmp_path / "tracker.db")) as connection:
        connection.execute("INSERT INTO groups VALUES ('lab', 'ann', 1, 0)")
        connection.execute("INSERT INTO manifests VALUES (?, ?)", (b"old", leaves))
        connection.execute(
            "INSERT INTO files VALUES ('lab', 'data', ?, ?, ?, 'ann', ?)",
            (bytes(32), (len(leaves) // 32) << 18, 1 << 18, b"old"),
        )
        connection.commit()
    store = await open_store(tmp_path)
    async with store.reading() as db:
        first = await files.find_manifest(db, "lab", "data")
        known = await files.find_file(db, "lab", "data")
        assert first is not None
        assert known is not None
        second = await manifest_pages.find_page(db, known.digest, 1)
    await store.close()
    assert first.leaves + (second or b"") == leaves
    counted = ask(tmp_path / "tracker.db", "SELECT files_published, manifest_bytes FROM accounts")
    assert counted == [(1, len(leaves))]
    assert ask(tmp_path / "tracker.db", "SELECT count(*) FROM manifests") == [(1,)]


async def test_names_that_clash_already_go_on_and_no_further_one_joins_them(tmp_path: Path) -> None:
    make_first_version(tmp_path)
    users, names = ["Ann", "\u00dcnal", "\uff41nn", "bob"], ["caf\u00e9", "cafe\u0301", "plain", "Plain", "\u212b"]
    with closing(sqlite3.connect(tmp_path / "tracker.db")) as connection:
        connection.executemany("INSERT INTO accounts VALUES (?, 'hash', 0)", [(user_id,) for user_id in users])
        connection.executemany("INSERT INTO groups VALUES (?, 'ann', 1, 0)", [("lab",), ("LAB",)])
        connection.execute("INSERT INTO manifests VALUES (?, ?)", (b"m", bytes(32)))
        for number, name in enumerate(names):
            row = (name, bytes([number]) * 32, 1 << 18, 1 << 18, b"m")
            connection.execute("INSERT INTO files VALUES ('lab', ?, ?, ?, ?, 'ann', ?)", row)
        connection.commit()
    store = await open_store(tmp_path)
    async with store.changing() as db:
        for user_id in ("ann", *users):
            assert await accounts.find_account(db, user_id) is not None
        for taken in ("ann", "ANN", "BOB", "\u00fcnal"):
            assert not await accounts.add_account(db, taken, "hash", 0.0)
        assert await accounts.add_account(db, "cid", "hash", 0.0)
        assert await accounts.list_alike(db, "ANN") == ["Ann", "ann", "\uff41nn"]
        for group_id in ("lab", "LAB"):
            _, group = await groups.find_standing(db, "ann", group_id)
            assert group is not None
            assert group.group_id == group_id
        assert (await groups.find_standing(db, "ann", "Lab"))[1] is None, "it could be either"
        assert not await groups.add_group(db, "Lab", "ann", False, 0.0)
        for number, name in enumerate(names):
            known = await files.find_file(db, "lab", name)
            assert known is not None
            assert (known.name, known.root) == (name, bytes([number]) * 32)
        found = await files.find_file(db, "lab", "\u00c5")
        assert found is not None
        assert found.name == "\u212b"
    await store.close()


@pytest.mark.parametrize(
    "again",
    [
        "INSERT INTO accounts (user_id, folded, apart, password_hash, generation, files_published, manifest_bytes,"
        " created_at_s) VALUES ('BOB', 'bob', '', '', 0, 0, 0, 0)",
        "INSERT INTO groups (group_id, folded, apart, owner, epoch, is_open) VALUES ('LAB', 'lab', '', 'bob', 0, 0)",
    ],
)
async def test_the_database_itself_refuses_a_second_spelling(tmp_path: Path, again: str) -> None:
    """Where two trackers make them in the same moment."""
    store = await open_store(tmp_path)
    async with store.changing() as db:
        await accounts.add_account(db, "bob", "hash", 0.0)
        await groups.add_group(db, "lab", "bob", False, 0.0)
    await store.close()
    with pytest.raises(sqlite3.IntegrityError, match=r"UNIQUE constraint failed: .*folded"):
        execute(tmp_path, again)


async def test_it_is_copied_before_the_first_step(tmp_path: Path) -> None:
    make_first_version(tmp_path)
    await (await open_store(tmp_path)).close()
    copy = tmp_path / f"tracker.db.before-{schema.REVISION}"
    assert copy.stat().st_mode & 0o077 == 0
    assert ask(copy, "SELECT user_id FROM accounts") == [("ann",)]
    assert ask(copy, "SELECT value FROM meta WHERE key = 'schema'") == [(b"shoal tracker 1",)]


async def test_a_copy_of_the_first_version_is_put_back_and_brought_up_to_date(tmp_path: Path) -> None:
    make_first_version(tmp_path)
    (tmp_path / "tracker.db").rename(tmp_path / "copy")
    assert restore(tmp_path / "copy", tmp_path / "state") == "1 accounts, 0 groups, 0 files"
    store = await open_store(tmp_path / "state")
    async with store.reading() as db:
        assert await accounts.find_account(db, "ann") == accounts.Account("hash", Generation(0, None))
    await store.close()


async def test_a_new_database_or_one_that_is_up_to_date_is_not_copied(tmp_path: Path) -> None:
    for _ in range(2):
        await (await open_store(tmp_path)).close()
    assert not list(tmp_path.glob("*before*"))


async def test_a_step_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_first_version(tmp_path)
    before = list(ask(tmp_path / "tracker.db", "SELECT * FROM sqlite_master"))

    def broken(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr("alembic.command.upgrade", broken)
        with pytest.raises(StoreError, match="disk I/O error"):
            await open_store(tmp_path)
    assert ask(tmp_path / "tracker.db", "SELECT * FROM sqlite_master") == before
    await (await open_store(tmp_path)).close()


@pytest.mark.parametrize("version", ["9999", "something else"])
async def test_a_database_of_a_later_version_is_reported_and_left_alone(tmp_path: Path, version: str) -> None:
    store: Store = await open_store(tmp_path)
    await store.close()
    execute(tmp_path, f"UPDATE alembic_version SET version_num = '{version}'")
    before = (tmp_path / "tracker.db").read_bytes()
    with pytest.raises(StoreError, match=f"version {version}.*restore"):
        await open_store(tmp_path)
    assert (tmp_path / "tracker.db").read_bytes() == before
