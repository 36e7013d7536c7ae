"""TLS between peers: both sides show a certificate of the tracker's authority, and both check it.

It is TLS 1.3 only, so no older version can be negotiated. A member's certificate names the account (common name) and
says that it is a member's (`member` as its DNS name): a tracker's certificate is no use between peers, and a member's
is none at a tracker. The private key is handed to OpenSSL through an anonymous memory file: it is never on a disk.
"""

import hashlib
import os
import ssl
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from engine.errors import RemoteProtocolError

MEMBER_NAME = "member"
UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.ExtensionNotFound, x509.DuplicateExtension
)  # fmt: skip
"""What reading any part of a peer's certificate may raise."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The certificate and key of this client, and the authority whose certificates it accepts. All PEM."""

    certificate_pem: bytes
    key_pem: bytes
    authority_pem: bytes


@dataclass(frozen=True, slots=True)
class PeerIdentity:
    """The account that the other side has proven to be. `thumbprint`: SHA-256 of its raw public key, 32 bytes."""

    user_id: str
    thumbprint: bytes


class WrongPeer(Exception):
    """A member answers at this address, but not with the key that the tracker named: most likely it is out of date."""


class NotValidNow(RemoteProtocolError):
    """A certificate that is not valid yet, or not any more. The clock here may be wrong, so nobody is to blame."""


def check_expected(peer: PeerIdentity, thumbprint: bytes) -> PeerIdentity:
    """The peer itself if it holds the expected key; raises WrongPeer."""
    if peer.thumbprint != thumbprint:
        raise WrongPeer(f"{peer.user_id} answers there with another key than the tracker named")
    return peer


def fetching_context(identity: Identity) -> ssl.SSLContext:
    """For the side that dials."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = True  # against MEMBER_NAME: the role, not an address
    return _with_identity(context, identity)


def serving_context(identity: Identity) -> ssl.SSLContext:
    """For the side that accepts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # links live long; resuming one would only skip the check of the certificate
    return _with_identity(context, identity)


def _with_identity(context: ssl.SSLContext, identity: Identity) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=identity.authority_pem.decode())
    descriptor = os.memfd_create("shoal-identity", os.MFD_CLOEXEC)
    try:
        # With the authority's: otherwise OpenSSL builds and verifies this client's chain anew for every link.
        os.write(descriptor, identity.certificate_pem + identity.authority_pem + identity.key_pem)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def peer_of(tls: ssl.SSLSocket) -> PeerIdentity:
    """Who is at the other end of a finished handshake; raises RemoteProtocolError unless it is a member."""
    der = tls.getpeercert(binary_form=True)
    if der is None:
        raise RemoteProtocolError("no certificate")
    try:
        certificate = x509.load_der_x509_certificate(der)
    except UNREADABLE as error:
        raise RemoteProtocolError("a certificate that cannot be read") from error
    return identity_in(certificate)


def identity_in(certificate: x509.Certificate) -> PeerIdentity:
    """The member that a valid certificate is for; raises RemoteProtocolError if it is not for a member."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        is_member = MEMBER_NAME in names.get_values_for_type(x509.DNSName)
        (common_name,) = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        raw_key = certificate.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    except UNREADABLE as error:
        raise RemoteProtocolError("a certificate that is not a member's") from error
    if not is_member:
        raise RemoteProtocolError("a certificate that is not a member's")
    return PeerIdentity(str(common_name.value), hashlib.sha256(raw_key).digest())
