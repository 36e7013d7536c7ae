"""How both ends of an open link prove who they are without TLS: by a certificate, and a signature over fresh nonces.

Each side sends a nonce in its HELLO and answers the other's with a PROVE. The signature covers both nonces, the
signer's role and, from the fetcher, the key that it expects the server to have; so a proof is of no use on another
link, in the other direction, or with another server.

Not for: protecting what follows. It is neither encrypted nor bound to the proof: an attacker on the network between can
read it and replace it, which the owner of an open group accepts. Pieces are verified all the same.
"""

import datetime as dt
import hashlib
import os

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from engine.errors import RemoteProtocolError
from engine.net.tls import UNREADABLE, Identity, NotValidNow, PeerIdentity, check_expected, identity_in
from engine.wire.messages import NONCE_BYTES, Prove, Role

_CONTEXT = b"shoal open link v1\0"
_ANYBODY = bytes(32)


class Prover:
    """This client's side of one proof."""

    def __init__(self, identity: Identity, role: Role, expected_thumbprint: bytes | None = None) -> None:
        """`expected_thumbprint`: of the key that the other side must hold; None if any member will do."""
        self._identity = identity
        self._role = role
        self._expected = expected_thumbprint
        self.nonce = os.urandom(NONCE_BYTES)

    def prove(self, their_nonce: bytes) -> Prove:
        """The answer to the other side's HELLO."""
        key = load_pem_private_key(self._identity.key_pem, None)
        assert isinstance(key, Ed25519PrivateKey)
        words = _statement(self._role, self.nonce, their_nonce, self._expected or _ANYBODY)
        return Prove(self._identity.certificate_pem, key.sign(words))

    def check(self, proof: Prove, their_nonce: bytes, our_thumbprint: bytes) -> PeerIdentity:
        """Who the other side is; raises RemoteProtocolError, or WrongPeer if it is another member than expected."""
        certificate = self._valid_certificate(proof.certificate_pem)
        their_role = Role.SERVER if self._role is Role.FETCHER else Role.FETCHER
        meant_for = our_thumbprint if their_role is Role.FETCHER else _ANYBODY
        key = certificate.public_key()
        assert isinstance(key, Ed25519PublicKey)
        try:
            key.verify(proof.signature, _statement(their_role, their_nonce, self.nonce, meant_for))
        except InvalidSignature:
            raise RemoteProtocolError("it does not hold the key of its certificate") from None
        peer = identity_in(certificate)
        return peer if self._expected is None else check_expected(peer, self._expected)

    def _valid_certificate(self, pem: bytes) -> x509.Certificate:
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(self._identity.authority_pem))
            is_of_our_kind = isinstance(certificate.public_key(), Ed25519PublicKey)
        except (*UNREADABLE, InvalidSignature) as error:
            raise RemoteProtocolError("a certificate that is not of this group's authority") from error
        if not is_of_our_kind:
            raise RemoteProtocolError("a certificate for a key of another kind")
        now = dt.datetime.now(dt.UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise NotValidNow("a certificate that is not valid now; are both clocks right?")
        return certificate


def thumbprint_of(identity: Identity) -> bytes:
    """SHA-256 of the raw public key."""
    return identity_in(x509.load_pem_x509_certificate(identity.certificate_pem)).thumbprint


def _statement(role: Role, own_nonce: bytes, their_nonce: bytes, meant_for: bytes) -> bytes:
    """What a proof signs; every part has a fixed length."""
    digest = hashlib.sha256(bytes([role]) + own_nonce + their_nonce + meant_for).digest()
    return _CONTEXT + digest
