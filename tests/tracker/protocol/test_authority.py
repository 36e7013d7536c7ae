import ssl
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tracker.protocol.authority import (
    Authority,
    BadCertificate,
    expires_at_s,
    issue_member,
    issue_tracker,
    load_authority,
    make_authority,
    member_of,
    private_pem,
)

NOW_S = 1_800_000_000.0
KEY = Ed25519PrivateKey.generate()
RAW = KEY.public_key().public_bytes_raw()


@pytest.fixture
def authority() -> Authority:
    return load_authority(*make_authority(NOW_S))


def test_a_members_certificate_says_who_and_which_key(authority: Authority) -> None:
    pem = issue_member(authority, "ann", RAW, NOW_S, 60, generation=7)
    assert tuple(member_of(pem, authority.certificate, NOW_S)) == ("ann", RAW, 7)
    assert expires_at_s(pem) == NOW_S + 60


@pytest.mark.parametrize("at_s", [NOW_S + 60, NOW_S + 1e6, NOW_S - 1e6])
def test_a_certificate_is_refused_outside_its_dates(authority: Authority, at_s: float) -> None:
    pem = issue_member(authority, "ann", RAW, NOW_S, 60)
    with pytest.raises(BadCertificate, match="not valid now"):
        member_of(pem, authority.certificate, at_s)


def test_a_certificate_begins_early_for_clocks_that_are_behind(authority: Authority) -> None:
    assert member_of(issue_member(authority, "ann", RAW, NOW_S, 60), authority.certificate, NOW_S - 200)


def test_another_authoritys_member_is_refused(authority: Authority) -> None:
    other = load_authority(*make_authority(NOW_S))
    with pytest.raises(BadCertificate):
        member_of(issue_member(other, "ann", RAW, NOW_S, 60), authority.certificate, NOW_S)


def test_a_trackers_certificate_is_no_members(authority: Authority) -> None:
    _, chain = issue_tracker(authority, NOW_S)
    with pytest.raises(BadCertificate):
        member_of(chain, authority.certificate, NOW_S)
    with pytest.raises(BadCertificate):
        member_of(authority.pem, authority.certificate, NOW_S)


@pytest.mark.parametrize("garbage", [b"", b"x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_garbage_is_no_certificate(authority: Authority, garbage: bytes) -> None:
    with pytest.raises(BadCertificate):
        member_of(garbage, authority.certificate, NOW_S)


def test_a_foreign_key_does_not_load(authority: Authority) -> None:
    with pytest.raises(ValueError, match="does not belong"):
        load_authority(private_pem(Ed25519PrivateKey.generate()), authority.pem)


def test_serial_numbers_differ(authority: Authority) -> None:
    pems = [issue_member(authority, "ann", RAW, NOW_S, 60) for _ in range(2)]
    assert len({x509.load_pem_x509_certificate(pem).serial_number for pem in pems}) == 2


def _handshake(server: ssl.SSLContext, client: ssl.SSLContext, expected_name: str) -> None:
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(to_client, to_server, server_hostname=expected_name),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue


@pytest.mark.parametrize(("role", "is_trusted"), [("tracker", True), ("member", False)])
def test_only_a_trackers_certificate_passes_for_a_tracker(role: str, is_trusted: bool, tmp_path: Path) -> None:
    authority = load_authority(*make_authority(time.time()))
    if role == "tracker":
        key_pem, chain = issue_tracker(authority, time.time())
    else:
        key_pem, chain = private_pem(KEY), issue_member(authority, "tracker", RAW, time.time(), 60)
    path = f"{tmp_path}/{role}.pem"
    with open(path, "wb") as file:
        file.write(key_pem + chain)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.load_verify_locations(cadata=authority.pem.decode())
    if is_trusted:
        _handshake(server, client, "tracker")
        with pytest.raises(ssl.SSLCertVerificationError):
            _handshake(server, client, "member")
    else:
        _handshake(server, client, "member")
        with pytest.raises(ssl.SSLCertVerificationError):
            _handshake(server, client, "tracker")
