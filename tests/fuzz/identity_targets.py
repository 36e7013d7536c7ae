"""What a stranger shows to prove who it is: tickets and certificates.

A signature stops nearly every input, so half of them are signed first: by a tracker that says anything.
"""

import base64
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engine.errors import RemoteProtocolError
from engine.net.proof import Prover
from engine.net.tls import Identity, identity_in
from engine.wire.messages import Role
from tests.testkit.builders import in_pem
from tracker.protocol import authority, tickets
from tracker.protocol.authority import BadCertificate
from tracker.protocol.tickets import BadTicket

NOW_S = 1_800_000_000.0
KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\x01")
TICKET_KEYS = {"k1": (KEY.public_key().public_bytes_raw(), float("inf"))}
AUTHORITY_PEM = (Path(__file__).parent / "authority.pem").read_bytes()
AUTHORITY = x509.load_pem_x509_certificate(AUTHORITY_PEM)
_ED25519 = bytes.fromhex("300506032b6570")
"""The algorithm of a signature, as it stands in a certificate."""
_prover = Prover(Identity(b"", b"", AUTHORITY_PEM), Role.SERVER)


def ticket(data: bytes) -> None:
    """An odd first byte: header, a zero byte and claims, which are signed here."""
    text = data[1:].decode("utf-8", "replace")
    if data[:1] and data[0] & 1:
        header, _, claims = data[1:].partition(b"\0")
        text = signed(header, claims)
    try:
        found = tickets.check(text, TICKET_KEYS, NOW_S)
    except BadTicket:
        return
    assert found.expires_at_s > NOW_S
    assert len(found.thumbprint) == 32
    assert found.epoch >= 0
    assert 1 <= len(found.user_id) <= 64


def signed(header: bytes, claims: bytes) -> str:
    words = _base64(header) + b"." + _base64(claims)
    return (words + b"." + _base64(KEY.sign(words))).decode()


def certificate(data: bytes) -> None:
    """Kinds of input, by the first byte: a PEM file, a certificate, what a certificate says (signed here)."""
    kind, rest = data[:1], data[1:]
    pem = rest
    if kind == b"d":
        pem = in_pem(rest)
    elif kind == b"s":
        pem = in_pem(_sequence(rest + _ED25519 + _bit_string(KEY.sign(rest))))
    _show_to_tracker(pem)
    _show_to_peer(pem)


def _show_to_tracker(pem: bytes) -> None:
    try:
        member = authority.member_of(pem, AUTHORITY, NOW_S)
    except BadCertificate:
        return
    assert len(member.public_key) == 32


def _show_to_peer(pem: bytes) -> None:
    try:
        found = identity_in(_prover._valid_certificate(pem))
    except RemoteProtocolError:
        return
    assert len(found.thumbprint) == 32


def _base64(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _sequence(content: bytes) -> bytes:
    return b"\x30" + _length(len(content)) + content


def _bit_string(content: bytes) -> bytes:
    return b"\x03" + _length(len(content) + 1) + b"\0" + content


def _length(count: int) -> bytes:
    if count < 128:
        return bytes([count])
    digits = count.to_bytes((count.bit_length() + 7) // 8)
    return bytes([0x80 | len(digits)]) + digits
