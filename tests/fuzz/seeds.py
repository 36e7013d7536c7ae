"""Real encodings to begin from: `python -m tests.fuzz.seeds` writes them into the corpus, the same each time.

Not here: inputs that found something, which stand in the corpus under the names that libFuzzer gave them.
"""

import base64
import shlex
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from engine.shell.commands import COMMANDS
from engine.storage.journal import Journal, Mark, Saved
from engine.storage.ledger import Ledger, SharedFile, StartedDownload
from engine.storage.manifest import Manifest
from engine.storage.stamp import Stamp
from engine.swarm.geometry import Geometry
from engine.wire.codec import encode
from engine.wire.messages import (
    NONCE_BYTES,
    PROTOCOL_VERSION,
    Cancel,
    Close,
    Have,
    Hello,
    Message,
    Mismatch,
    Open,
    Opened,
    PieceHeader,
    Prove,
    Reject,
    Request,
    Role,
)
from tests.engine.wire.samples import EXAMPLES
from tests.fuzz import file_targets, peer_targets
from tests.fuzz.identity_targets import AUTHORITY_PEM, KEY, NOW_S
from tests.fuzz.targets import CORPUS
from tests.hostile.test_requests import SAMPLES
from tracker.protocol import events, framing, manifests, requests, results, tickets, types
from tracker.protocol.addresses import fingerprint_of
from tracker.protocol.invite_codes import invite_text

MEMBER_PEM = (Path(__file__).parent / "member.pem").read_bytes()
ROOT = file_targets.ROOT


def wire() -> Iterator[bytes]:
    pieces = [PieceHeader(5, 1, 0, 20), PieceHeader(5, 1, 20, 3)]
    for message in EXAMPLES.values():
        yield encode(message) + (bytes(1000) if isinstance(message, PieceHeader) else b"")
    yield encode(pieces[0]) + bytes(20) + encode(pieces[1]) + bytes(3) + encode(EXAMPLES[Hello])


def _script(data: list[Message], does: int) -> bytes:
    return bytes([does]) * peer_targets.SCRIPT_BYTES + b"".join(map(encode, data))


def fetcher_link() -> Iterator[bytes]:
    hello, opened = Hello(PROTOCOL_VERSION, Role.SERVER), Opened(1, b"\xff\xe0")
    half = 1 << 17
    yield _script([hello, opened, PieceHeader(2, 0, 0, half), PieceHeader(2, 0, half, half), Have(1, (3, 10))], 2)
    yield _script([hello, opened, PieceHeader(2, 2, half, half), Reject(3, 4)], 2 | 4)
    yield _script([hello, opened, PieceHeader(2, 0, 0, 1000), PieceHeader(2, 0, 1000, 1000)], 2 | 16)
    yield _script([hello, opened, PieceHeader(2, 0, 0, 1000), Reject(1, 4)], 2 | 8 | 32)
    proven = Hello(PROTOCOL_VERSION, Role.SERVER, bytes(NONCE_BYTES))
    yield _script([proven, Prove(b"", bytes(64)), opened], 1)


def server_link() -> Iterator[bytes]:
    hello, opening = Hello(PROTOCOL_VERSION, Role.FETCHER), Open(1, "lab", ROOT, "ticket")
    asking = [Request(number, 1, 0, 0, (number, 10)) for number in range(3)]
    yield _script([hello, opening, *asking, Cancel(1), Close(1)], 2)
    yield _script([hello, opening, *asking, Mismatch(1, 9), Mismatch(2, 99), Close(1), Mismatch(1, 10)], 2)
    yield _script([hello, opening, *asking], 2 | 8)
    yield _script([hello, opening, opening, *asking], 4)
    yield _script([hello, opening, Request(9, 1, 500, 500, (10,))], 2)
    yield _script([Hello(PROTOCOL_VERSION, Role.FETCHER, bytes(NONCE_BYTES)), Prove(b"", bytes(64)), opening], 1 | 2)


def tracker_request() -> Iterator[bytes]:
    for request in SAMPLES.values():
        yield framing.encode_frame(requests.Call(7, bytes(16), request))


PEER = events.Peer("ann", "127.0.0.1", 7001, bytes(32), True)
SHARE = requests.Share("lab", ROOT, True)
RESULTS: tuple[results.Result, ...] = (
    results.Done(),
    results.Done("lab", "ann"),
    results.Alive(NOW_S),
    results.Refused("no_such_group", "there is no such group"),
    results.LoggedIn("ann", MEMBER_PEM, NOW_S, {"k1": types.TrustedKey(bytes(32), NOW_S)}),
    results.Left("ben", False),
    results.Invited(NOW_S),
    results.Audit([results.AuditEntry(NOW_S, "ann", "login", "", "127.0.0.1")], "lab"),
    results.Requests(["ann", "ben"], "lab"),
    results.Groups([results.GroupEntry("lab", "ann", 2, "owner")]),
    results.Files([results.FileEntry("data.bin", 9, ROOT, "ann", 1)], "lab"),
    results.Withdrawn(True),
    results.Announced([SHARE]),
    results.Peers([PEER]),
    results.Ticket("ticket", NOW_S, 3, False, "lab"),
)
UNASKED: tuple[results.FromTracker, ...] = (
    events.GroupEpoch("lab", 4, "ben", bytes(32)),
    events.OwnerChanged("lab", "ben"),
    events.RequestArrived("lab", "cat"),
    events.RequestAnswered("lab", True),
    events.PeerJoined("lab", ROOT, PEER),
    events.OutOfReach("192.0.2.7", 7001, 2),
    events.SessionEnded("it ended elsewhere"),
    events.Bulletin(3, events.OwnerChanged("lab", "ben")),
    events.TicketKeys({"k1": types.TrustedKey(bytes(32), NOW_S)}),
)


def tracker_message() -> Iterator[bytes]:
    yield framing.encode_frame(events.Welcome(requests.VERSION, bytes(32), AUTHORITY_PEM))
    for message in (*(results.Reply(7, result) for result in RESULTS), *UNASKED):
        yield framing.encode_frame(message)
    yield b"".join(map(framing.encode_frame, UNASKED))


def manifest() -> Iterator[bytes]:
    for size_bytes, leaves in ((0, b""), (300_000, bytes(64)), (1 << 18, bytes(32))):
        root = Manifest.of_leaves(Geometry(size_bytes, 1 << 18), leaves).root
        described = manifests.Manifest("data.bin", size_bytes, 1 << 18, root, leaves, "ann", [PEER])
        yield _replies(described)
    yield _replies(manifests.Manifest("data.bin", 70_000 << 18, 1 << 18, ROOT, b"", "ann"), manifests.Page(bytes(32)))
    described = manifests.Manifest("data.bin", 300_000, 1 << 18, ROOT, bytes(64), "ann")
    yield _replies(described, manifests.Published(False, [1]), results.Done(), manifests.Published(True))


def _replies(*sent_results: results.Result) -> bytes:
    return b"".join(framing.encode_frame(results.Reply(7, result)) for result in sent_results)


def ticket() -> Iterator[bytes]:
    whole = tickets.sign(
        KEY, "k1", user_id="ann", group_id="lab", epoch=3, thumbprint=bytes(32), now_s=NOW_S, life_s=600, is_open=True
    )
    yield b"\0" + whole.encode()
    header, claims, _ = (base64.urlsafe_b64decode(part + "==") for part in whole.split("."))
    yield b"\1" + header + b"\0" + claims
    for algorithm in (b"none", b"HS256"):
        yield b"\1" + header.replace(b"EdDSA", algorithm) + b"\0" + claims


def certificate() -> Iterator[bytes]:
    for pem in (MEMBER_PEM, AUTHORITY_PEM):
        read = x509.load_pem_x509_certificate(pem)
        yield b"p" + pem
        yield b"d" + read.public_bytes(Encoding.DER)
        yield b"s" + read.tbs_certificate_bytes


def pin() -> Iterator[bytes]:
    yield b"p" + AUTHORITY_PEM
    yield b"p" + AUTHORITY_PEM + MEMBER_PEM
    yield "pa comment: é\n".encode() + AUTHORITY_PEM
    yield b"d" + x509.load_pem_x509_certificate(AUTHORITY_PEM).public_bytes(Encoding.DER)


def journal() -> Iterator[bytes]:
    geometry = file_targets.JOURNAL_GEOMETRY
    with TemporaryDirectory() as folder:
        path = Path(folder, "journal")
        one = Journal(path, ROOT, geometry)
        for flags in (np.zeros, np.ones):
            one.save(flags(geometry.piece_count, np.uint8), Mark(1, 2), is_clean=True)
        one.close()
        yield b"\0" + path.read_bytes()[:300]
    saved = Saved(ROOT, geometry.size_bytes, geometry.piece_bytes, False, Mark(1, 2), b"\xf0\x08")
    for number in (0, 7):
        yield b"\1" + number.to_bytes(8, "little") + msgspec.msgpack.encode(saved)


def ledger() -> Iterator[bytes]:
    """With small pages, so that an input is short."""
    status = file_targets.HASHED_FILE
    leaves = Manifest.of_leaves(Geometry(status.st_size, 1 << 18), bytes(32))
    with TemporaryDirectory() as folder:
        path = Path(folder, "client.sqlite")
        database = sqlite3.connect(path)
        database.executescript("PRAGMA page_size = 512; CREATE TABLE t (x); DROP TABLE t; VACUUM")
        database.close()
        yield path.read_bytes()
        one = Ledger(path)
        one.add_share(file_targets.OWNER, SharedFile("lab", "a", "/a", ROOT, Geometry(9, 1 << 18), Stamp(7, 9, 1, 2)))
        one.add_download(file_targets.OWNER, StartedDownload("lab", "b", "/b", ROOT, Geometry(9, 1 << 18), True))
        one.remember(file_targets.HASHED_PATH, status, leaves)
        one.close()
        yield path.read_bytes()


def tracker_info() -> Iterator[bytes]:
    line = f"127.0.0.1 9000 {fingerprint_of(AUTHORITY_PEM)}"
    yield line.encode()
    yield f"# trackers\n{line} # here\n\n[::1] 9001\ntracker.example. 80\n".encode()
    yield b"300.0.0.1 9000"
    yield b"\xef\xbb\xbf127.0.0.1:9000\r[::1]:9001\t# here\r\ntracker.example:80"
    yield "127.0.0.1 9000".encode("utf-16")


def shell_line() -> Iterator[bytes]:
    for command in COMMANDS.values():
        yield shlex.join([command.name, *(word.strip("<[]>") for word in command.parameters)]).encode()
    yield rb"""upload_file a\ b 'c d'\''e' "f \"g\" \$ \h" take#2.wav # a comment"""
    yield b"requests list_requests lab"
    yield b"login 'alice"


def names() -> Iterator[bytes]:
    for text in ("ann", "a.b-c_d@e+f", "data (1).bin", "é" * 100, "..", "a/b", "a\x1b[31m", "‮cod.exe", "a\0b"):
        yield text.encode()
    yield invite_text(bytes(range(16))).encode()


SEEDS = (
    wire, fetcher_link, server_link, tracker_request, tracker_message, manifest, ticket, certificate, pin, journal,
    ledger, tracker_info, shell_line, names,
)  # fmt: skip

if __name__ == "__main__":
    for make in SEEDS:
        folder = CORPUS / make.__name__
        folder.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(make()):
            (folder / f"seed-{number:02}").write_bytes(data)
