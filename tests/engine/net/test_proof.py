"""Open links: a proof convinces the side it was made for, once, and nobody else."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding

from engine.errors import RemoteProtocolError
from engine.net.proof import Prover, thumbprint_of
from engine.net.tls import Identity, NotValidNow, WrongPeer
from engine.wire.messages import Prove, Role
from tests.testkit.builders import in_pem
from tests.testkit.fakes import Club, Member
from tracker.protocol import authority


def identity_of(member: Member) -> Identity:
    return Identity(member.identity.certificate_pem, member.identity.key_pem, member.identity.authority_pem)


class Pair:
    """A fetcher and a server of one club, before their link."""

    def __init__(self) -> None:
        club = Club()
        self.club = club
        self.ann, self.ben = club.member("ann"), club.member("ben")
        self.fetcher = Prover(identity_of(self.ann), Role.FETCHER, self.ben.thumbprint)
        self.server = Prover(identity_of(self.ben), Role.SERVER)


def test_each_side_learns_who_the_other_is() -> None:
    pair = Pair()
    from_fetcher = pair.fetcher.prove(pair.server.nonce)
    from_server = pair.server.prove(pair.fetcher.nonce)
    ann = pair.server.check(from_fetcher, pair.fetcher.nonce, pair.ben.thumbprint)
    ben = pair.fetcher.check(from_server, pair.server.nonce, pair.ann.thumbprint)
    assert (ann.user_id, ann.thumbprint) == ("ann", pair.ann.thumbprint)
    assert (ben.user_id, ben.thumbprint) == ("ben", pair.ben.thumbprint)
    assert thumbprint_of(identity_of(pair.ann)) == pair.ann.thumbprint


def test_a_proof_of_another_link_does_not_convince() -> None:
    pair, later = Pair(), Pair()
    old = pair.fetcher.prove(later.server.nonce)
    with pytest.raises(RemoteProtocolError, match="does not hold the key"):
        pair.server.check(old, pair.fetcher.nonce, pair.ben.thumbprint)


def test_a_proof_made_for_one_server_does_not_convince_another() -> None:
    pair = Pair()
    eve = pair.club.member("eve")
    for_eve = Prover(identity_of(pair.ann), Role.FETCHER, eve.thumbprint)
    relayed = for_eve.prove(pair.server.nonce)
    with pytest.raises(RemoteProtocolError, match="does not hold the key"):
        pair.server.check(relayed, for_eve.nonce, pair.ben.thumbprint)


def test_a_proof_cannot_be_turned_around() -> None:
    pair = Pair()
    from_server = pair.server.prove(pair.fetcher.nonce)
    with pytest.raises(RemoteProtocolError, match="does not hold the key"):
        pair.server.check(from_server, pair.fetcher.nonce, pair.ben.thumbprint)


def test_a_certificate_without_its_key_does_not_convince() -> None:
    pair = Pair()
    thief = Identity(
        pair.ann.identity.certificate_pem, authority.private_pem(Ed25519PrivateKey.generate()), pair.club.pem
    )
    stolen = Prover(thief, Role.FETCHER, pair.ben.thumbprint)
    with pytest.raises(RemoteProtocolError, match="does not hold the key"):
        pair.server.check(stolen.prove(pair.server.nonce), stolen.nonce, pair.ben.thumbprint)


def test_what_is_no_certificate_of_a_member_is_refused_as_a_fault_of_the_other_side() -> None:
    """Of a version nobody knows, of a kind nobody signs with, the authority's own, and none at all."""
    pair = Pair()
    der = x509.load_pem_x509_certificate(pair.ann.identity.certificate_pem).public_bytes(Encoding.DER)
    later_version = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020105"), 1)
    other_signature = der.replace(bytes.fromhex("06032b6570"), bytes.fromhex("06032b6572"))
    assert der not in (later_version, other_signature)
    for pem in (in_pem(later_version), in_pem(other_signature), pair.club.pem, b"", b"\xff"):
        with pytest.raises(RemoteProtocolError):
            pair.server.check(Prove(pem, bytes(64)), pair.fetcher.nonce, pair.ben.thumbprint)


def test_another_server_than_the_tracker_named_is_refused() -> None:
    pair = Pair()
    eve = Prover(identity_of(pair.club.member("eve")), Role.SERVER)
    with pytest.raises(WrongPeer, match="another key than the tracker named"):
        pair.fetcher.check(eve.prove(pair.fetcher.nonce), eve.nonce, pair.ann.thumbprint)


def test_a_certificate_of_another_authority_is_refused() -> None:
    pair = Pair()
    stranger = Prover(identity_of(Club().member("ann")), Role.FETCHER, pair.ben.thumbprint)
    with pytest.raises(RemoteProtocolError, match="authority"):
        pair.server.check(stranger.prove(pair.server.nonce), stranger.nonce, pair.ben.thumbprint)


def test_a_certificate_that_ended_is_refused() -> None:
    pair = Pair()
    key = Ed25519PrivateKey.generate()
    made_by = authority.load_authority(pair.club.key_pem, pair.club.pem)
    long_ago_s = (dt.datetime.now(dt.UTC) - dt.timedelta(days=3)).timestamp()
    certificate = authority.issue_member(made_by, "ann", key.public_key().public_bytes_raw(), long_ago_s, 3600.0)
    late = Prover(Identity(certificate, authority.private_pem(key), pair.club.pem), Role.FETCHER, pair.ben.thumbprint)
    with pytest.raises(NotValidNow, match="not valid now"):  # which is nobody's fault: see FetchLink
        pair.server.check(late.prove(pair.server.nonce), late.nonce, pair.ben.thumbprint)


def test_a_tracker_is_not_a_member() -> None:
    pair = Pair()
    key_pem, chain_pem = authority.issue_tracker(
        authority.load_authority(pair.club.key_pem, pair.club.pem), dt.datetime.now(dt.UTC).timestamp()
    )
    tracker = Prover(Identity(chain_pem, key_pem, pair.club.pem), Role.SERVER)
    assert x509.load_pem_x509_certificate(chain_pem).subject
    with pytest.raises(RemoteProtocolError, match="not a member's"):
        pair.fetcher.check(tracker.prove(pair.fetcher.nonce), tracker.nonce, pair.ann.thumbprint)


@pytest.mark.parametrize("certificate", [b"", b"-----BEGIN CERTIFICATE-----\n", b"\x00" * 8192])
def test_garbage_for_a_certificate_is_refused(certificate: bytes) -> None:
    pair = Pair()
    with pytest.raises(RemoteProtocolError):
        pair.server.check(Prove(certificate, bytes(64)), pair.fetcher.nonce, pair.ben.thumbprint)
