"""What a client remembers between runs comes back as it was, per account; damage is said, not guessed around."""

import os
import sqlite3
import stat
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from engine.errors import LocalError, StorageError
from engine.storage.ledger import Ledger, SharedFile, StartedDownload, Withdrawal
from engine.storage.ledger_file import STEPS
from engine.storage.manifest import LEAF_BYTES, Manifest
from engine.storage.stamp import Stamp
from tests.testkit.builders import geometry_of

GEOMETRY = geometry_of(3, last_bytes=77)
STAMP = Stamp(123, GEOMETRY.size_bytes, 1_700_000_000_123_456_789, 1_700_000_001_123_456_789)


def share(group_id: str = "lab", name: str = "disk.img", path: str = "/data/disk.img") -> SharedFile:
    return SharedFile(group_id, name, path, bytes(range(32)), GEOMETRY, STAMP)


def download(group_id: str = "lab", name: str = "disk.img", target: str = "/data/disk.img") -> StartedDownload:
    return StartedDownload(group_id, name, target, bytes(range(32)), GEOMETRY, has_part=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def ledger(path: Path) -> Ledger:
    return Ledger(path)


def reopened(ledger: Ledger, path: Path) -> Ledger:
    ledger.close()
    return Ledger(path)


def test_shares_come_back_as_they_were_for_their_account_only(ledger: Ledger, path: Path) -> None:
    shares = [share(), share(name="字.bin", path="/data/字.bin"), share(group_id="team")]
    for each in reversed(shares):
        ledger.add_share("ann", each)
    ledger.add_share("bob", share(path="/home/bob/disk.img"))
    ledger = reopened(ledger, path)
    assert ledger.shares_of("ann") == shares
    assert [each.path for each in ledger.shares_of("bob")] == ["/home/bob/disk.img"]
    assert ledger.shares_of("cy") == []


def test_a_share_of_the_same_name_replaces_the_one_before(ledger: Ledger) -> None:
    ledger.add_share("ann", share(path="/old"))
    ledger.add_share("ann", share(path="/new"))
    assert [each.path for each in ledger.shares_of("ann")] == ["/new"]


def test_a_dropped_share_is_gone_and_its_namesakes_are_not(ledger: Ledger, path: Path) -> None:
    for user_id, each in (("ann", share()), ("ann", share(group_id="team")), ("bob", share())):
        ledger.add_share(user_id, each)
    ledger.drop_share("ann", "lab", "disk.img")
    ledger = reopened(ledger, path)
    assert ledger.shares_of("ann") == [share(group_id="team")]
    assert ledger.shares_of("bob") == [share()]


def test_downloads_come_back_as_they_were_for_their_account_only(ledger: Ledger, path: Path) -> None:
    ledger.add_download("ann", download())
    ledger.add_download("ann", download(name="b", target="/data/b"))
    ledger.add_download("bob", download(target="/home/bob/disk.img"))
    ledger.drop_download("ann", "lab", "b")
    ledger.drop_download("ann", "lab", "never there")
    ledger = reopened(ledger, path)
    assert ledger.downloads_of("ann") == [download()]
    assert ledger.downloads_of("bob") == [download(target="/home/bob/disk.img")]
    assert ledger.find_download("ann", "lab", "disk.img") == download()
    assert ledger.find_download("ann", "lab", "b") is None


# ---------------------------------------------------------------- hashes


@pytest.fixture
def hashed(tmp_path: Path) -> tuple[Path, Manifest]:
    file = tmp_path / "disk.img"
    file.write_bytes(bytes(GEOMETRY.size_bytes))
    return file, Manifest.of_leaves(GEOMETRY, bytes(range(3 * LEAF_BYTES)))


def test_a_withdrawal_is_kept_until_it_is_said_or_its_name_is_shared_again(ledger: Ledger, path: Path) -> None:
    said, taken_back = Withdrawal("lab", "a", bytes(32)), Withdrawal("lab", "disk.img", bytes(32))
    for each in (said, taken_back):
        ledger.keep_withdrawal("ann", each)
    ledger.keep_withdrawal("bob", taken_back)
    ledger = reopened(ledger, path)
    assert ledger.withdrawals_of("ann") == [said, taken_back]
    ledger.drop_withdrawal("ann", "lab", "a")
    ledger.add_share("ann", share())
    assert ledger.withdrawals_of("ann") == []
    assert ledger.withdrawals_of("bob") == [taken_back]


def test_the_hashes_of_an_unchanged_file_are_recalled(
    ledger: Ledger, path: Path, hashed: tuple[Path, Manifest]
) -> None:
    file, manifest = hashed
    ledger.remember(file, file.stat(), manifest)
    recalled = reopened(ledger, path).recall(file, file.stat())
    assert recalled is not None
    assert (recalled.root, recalled.geometry) == (manifest.root, manifest.geometry)
    assert np.array_equal(recalled.leaves, manifest.leaves)


def test_a_changed_time_size_inode_or_path_recalls_nothing(ledger: Ledger, hashed: tuple[Path, Manifest]) -> None:
    file, manifest = hashed
    before = file.stat()
    ledger.remember(file, before, manifest)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert ledger.recall(file, file.stat()) is None
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # put back: ctime gives it away
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert ledger.recall(file, file.stat()) is None
    assert ledger.recall(file, before) is not None
    assert ledger.recall(file.with_name("other"), before) is None
    with open(file, "ab") as longer:
        longer.write(b"x")
    assert ledger.recall(file, file.stat()) is None


def test_remembering_again_forgets_the_hashes_from_before(ledger: Ledger, hashed: tuple[Path, Manifest]) -> None:
    file, manifest = hashed
    before = file.stat()
    ledger.remember(file, before, manifest)
    os.utime(file, ns=(0, 0))
    ledger.remember(file, file.stat(), manifest)
    assert ledger.recall(file, before) is None
    assert ledger.recall(file, file.stat()) is not None


def test_hashes_that_nobody_needed_for_long_are_forgotten(
    ledger: Ledger, path: Path, hashed: tuple[Path, Manifest]
) -> None:
    file, manifest = hashed
    for name in ("used", "unused"):
        ledger.remember(file.with_name(name), file.stat(), manifest)
    ledger._file._database.execute("UPDATE manifests SET used_at_s = used_at_s - 89 * 86400")
    assert ledger.recall(file.with_name("used"), file.stat()) is not None
    ledger._file._database.execute("UPDATE manifests SET used_at_s = used_at_s - 2 * 86400")
    ledger = reopened(ledger, path)
    assert ledger.recall(file.with_name("used"), file.stat()) is not None
    assert ledger.recall(file.with_name("unused"), file.stat()) is None


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_said_to_be_and_left_as_it_is(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    with pytest.raises(LocalError, match="damaged") as refusal:
        Ledger(path)
    assert refusal.value.code == "bad_state"
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == damage


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE shares SET piece_bytes = 3",
        "UPDATE shares SET root = x'00'",
        "UPDATE downloads SET size_bytes = -1",
        "UPDATE manifests SET leaves = x'0011'",
        "UPDATE manifests SET leaves = zeroblob(64)",
    ],
)
def test_what_cannot_be_in_a_sound_database_is_said_too(
    ledger: Ledger, path: Path, hashed: tuple[Path, Manifest], damage: str
) -> None:
    file, manifest = hashed
    ledger.add_share("ann", share())
    ledger.add_download("ann", download())
    ledger.remember(file, file.stat(), manifest)
    ledger._file._database.execute(damage)
    with pytest.raises(LocalError, match="damaged") as refusal:
        for _ in (ledger.shares_of("ann"), ledger.downloads_of("ann"), ledger.recall(file, file.stat())):
            pass
    assert str(path) in str(refusal.value)


def test_nobody_else_may_read_it(ledger: Ledger, path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("version", [0, 1])
def test_a_ledger_of_an_earlier_version_is_taken_over(path: Path, hashed: tuple[Path, Manifest], version: int) -> None:
    """0: from before versions were counted."""
    file, manifest = hashed
    status, whole = file.stat(), (bytes(range(32)), GEOMETRY.size_bytes, GEOMETRY.piece_bytes)
    database = sqlite3.connect(path, isolation_level=None)
    for statement in STEPS[0]:
        database.execute(statement)
    database.execute("INSERT INTO downloads VALUES ('ann', 'lab', 'disk.img', '/data/disk.img', ?, ?, ?)", whole)
    database.execute("INSERT INTO shares VALUES ('ann', 'lab', 'disk.img', '/data/disk.img', ?, ?, ?, 1, 2)", whole)
    database.execute(
        "INSERT INTO manifests VALUES (?, ?, ?, ?, ?, ?, ?)",
        (str(file), status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, GEOMETRY.piece_bytes,
         manifest.leaves.tobytes()),
    )  # fmt: skip
    database.execute(f"PRAGMA user_version = {version}")
    database.close()
    ledger = Ledger(path)
    assert ledger.downloads_of("ann") == [download()]
    assert ledger.recall(file, status) is not None
    assert ledger.shares_of("ann")[0].stamp.ctime_ns == 0  # so it is read once more
    assert ledger._file._database.execute("PRAGMA user_version").fetchone() == (len(STEPS),)


def test_hashes_are_found_by_what_they_are_of_until_they_are_forgotten(ledger: Ledger, path: Path) -> None:
    file = path.with_name("data.bin")
    file.write_bytes(bytes(GEOMETRY.size_bytes))
    manifest = Manifest.of_leaves(GEOMETRY, bytes(GEOMETRY.piece_count * LEAF_BYTES))
    ledger.remember(file, file.stat(), manifest)
    file.touch()
    good = replace(share(path=str(file)), root=manifest.root)
    found = ledger.manifest_of(good)
    assert found is not None
    assert found.root == manifest.root
    assert ledger.manifest_of(replace(good, root=bytes(32))) is None
    ledger.forget(file)
    assert ledger.manifest_of(good) is None


def test_a_ledger_of_a_later_version_is_reported_and_left_as_it_is(ledger: Ledger, path: Path) -> None:
    ledger._file._database.execute("PRAGMA user_version = 99")
    ledger.close()
    before = path.read_bytes()
    with pytest.raises(LocalError, match="later version") as refusal:
        Ledger(path)
    assert refusal.value.code == "bad_state"
    assert path.read_bytes() == before


def test_a_failure_after_the_start_is_said_with_the_path(ledger: Ledger, path: Path) -> None:
    ledger._file._database.execute("DROP TABLE shares")
    for fails in (lambda: ledger.add_share("ann", share()), lambda: ledger.shares_of("ann")):
        with pytest.raises(StorageError, match=str(path)):
            fails()


def test_on_a_full_disk_there_is_room_for_what_happens_then(ledger: Ledger, path: Path) -> None:
    """The database may not grow, as on a full disk, until the ballast is gone."""
    ballast = path.with_name(path.name + ".ballast")
    assert ballast.stat().st_blocks * 512 >= 256 << 10
    (pages,) = ledger._file._database.execute("PRAGMA page_count").fetchone()
    ledger._file._database.execute(f"PRAGMA max_page_count = {pages}")

    def fill() -> None:
        for number in range(1000):
            ledger.add_download("ann", download(name=f"file{number}"))

    with pytest.raises(StorageError, match="full") as refusal:
        fill()
    assert refusal.value.code == "no_space"
    assert not ballast.exists()


def test_what_was_synced_is_said_so_only_once(ledger: Ledger) -> None:
    ledger.add_share("ann", share())
    assert ledger.needs_sync
    ledger.sync()
    assert not ledger.needs_sync
    ledger.sync()


def test_a_sync_that_failed_is_tried_again(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger.add_share("ann", share())

    def fail(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fdatasync", fail)
        with pytest.raises(StorageError):
            ledger.sync()
    assert ledger.needs_sync
    ledger.sync()
    assert not ledger.needs_sync
