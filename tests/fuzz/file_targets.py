"""What is read from files of this machine: journals, the ledger, tracker_info.txt, the pinned authority."""

import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np
import xxhash

from engine.errors import ShoalError
from engine.storage.journal import _HEADER, _MAGIC, Journal, Mark
from engine.storage.ledger import Ledger
from tests.testkit.builders import geometry_of, in_pem
from tracker.protocol.addresses import BadTrackerInfo, authority_in, fingerprint_of, parse_tracker_info

ROOT = bytes(range(32))
JOURNAL_GEOMETRY = geometry_of(13)
OWNER = "ann"
HASHED_PATH = Path("/data/data.bin")
HASHED_FILE = os.stat_result((0o100600, 7, 0, 1, 0, 0, 1000, 0, 0, 0))

_folder = Path(tempfile.mkdtemp(prefix="shoal-fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None))


def journal(data: bytes) -> None:
    """An even first byte: a file as it is; an odd one: a slot's payload, under a header that fits it."""
    path = _folder / "journal"
    path.write_bytes(_slot(data[1:]) if data[:1] and data[0] & 1 else data[1:])
    one = Journal(path, ROOT, JOURNAL_GEOMETRY)
    saved = one.load()
    if saved is not None:
        assert saved.have(JOURNAL_GEOMETRY.piece_count).shape == (JOURNAL_GEOMETRY.piece_count,)
    have, mark = np.arange(JOURNAL_GEOMETRY.piece_count, dtype=np.uint8) % 2, Mark(1, 2)
    one.save(have, mark, is_clean=True)
    one.close()
    again = Journal(path, ROOT, JOURNAL_GEOMETRY).load()
    assert again is not None
    assert again.have(JOURNAL_GEOMETRY.piece_count).tolist() == have.tolist()


def _slot(data: bytes) -> bytes:
    number, payload = data[:8].ljust(8, b"\0"), data[8:]
    checksum = xxhash.xxh3_128_digest(number + payload)
    return _HEADER.pack(_MAGIC, int.from_bytes(number, "little"), len(payload), checksum) + payload


def ledger(data: bytes) -> None:
    path = _folder / "client.sqlite"
    for left in ("-wal", "-shm"):
        Path(f"{path}{left}").unlink(missing_ok=True)
    path.write_bytes(data)
    with contextlib.suppress(ShoalError):
        one = Ledger(path)
        try:
            one.shares_of(OWNER)
            one.downloads_of(OWNER)
            one.withdrawals_of(OWNER)
            one.recall(HASHED_PATH, HASHED_FILE)
        finally:
            one.close()


def tracker_info(data: bytes) -> None:
    try:
        addresses = parse_tracker_info(data)
    except BadTrackerInfo:
        return
    words = ((each.host, str(each.port), each.fingerprint or "") for each in addresses)
    assert parse_tracker_info("\n".join(" ".join(each) for each in words).encode()) == addresses


def pin(data: bytes) -> None:
    """What a tracker calls its authority; first byte "d": a certificate that is put into PEM here."""
    try:
        pem = authority_in(in_pem(data[1:]) if data[:1] == b"d" else data[1:])
    except ValueError:
        return
    assert authority_in(pem) == pem
    assert len(fingerprint_of(pem)) == len("sha256:") + 64
    assert pem.decode("ascii")
