"""The certificate authority of a group of trackers: says which key is a tracker's and which is a member's.

One authority is made at the first start and shared by all trackers over their store; clients pin it. A certificate
carries its role as its only host name, "tracker" or "member", and TLS compares that with what the dialling side
expects. Invariant: no member's certificate passes for a tracker's, nor the other way round.

Not here: where the authority's key is kept (store), and what a member may do (permissions, tickets).
"""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

MEMBER_ROLE = "member"
TRACKER_ROLE = "tracker"

_CLOCK_SKEW_S = 300.0
"""Certificates begin a little early, for clients whose clock is behind."""
_YEAR_S = 365.25 * 24 * 3600
_AUTHORITY_LIFE_S = 20 * _YEAR_S
_TRACKER_LIFE_S = 10 * _YEAR_S
"""Made anew at every start and never stored, so its end only has to lie beyond any uptime."""


class BadCertificate(ValueError):
    """This is not a valid member's certificate of this authority; the message says why."""


@dataclass(frozen=True, slots=True)
class Authority:
    key: Ed25519PrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)


def make_authority(now_s: float) -> tuple[bytes, bytes]:
    """A new authority: (private key PEM, certificate PEM)."""
    key = Ed25519PrivateKey.generate()
    name = _name("shoal authority")
    builder = _dated(now_s, _AUTHORITY_LIFE_S).subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(is_authority=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    certificate = builder.sign(key, None)
    return private_pem(key), certificate.public_bytes(Encoding.PEM)


def load_authority(key_pem: bytes, certificate_pem: bytes) -> Authority:
    """Raises ValueError if the two are not an authority made here."""
    key = load_pem_private_key(key_pem, None)
    certificate = x509.load_pem_x509_certificate(certificate_pem)
    if not isinstance(key, Ed25519PrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the authority's key does not belong to its certificate")
    return Authority(key, certificate)


def issue_member(
    authority: Authority, user_id: str, public_key_raw: bytes, now_s: float, life_s: float, generation: int = 0
) -> bytes:
    """Certificate PEM for a member's key. Both usages: between peers either side may dial.

    `generation`: of the account's sessions; the certificate is void for the tracker once the account has a higher one.
    """
    usages = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    public_key = Ed25519PublicKey.from_public_bytes(public_key_raw)
    return _issue(authority, _name(user_id, generation), MEMBER_ROLE, public_key, usages, now_s, life_s)


def issue_tracker(authority: Authority, now_s: float) -> tuple[bytes, bytes]:
    """A fresh key and its certificate chain for one run of a tracker, both PEM."""
    key = Ed25519PrivateKey.generate()
    usages = [ExtendedKeyUsageOID.SERVER_AUTH]
    certificate_pem = _issue(
        authority, _name(TRACKER_ROLE), TRACKER_ROLE, key.public_key(), usages, now_s, _TRACKER_LIFE_S
    )
    return private_pem(key), certificate_pem + authority.pem


class MemberCertificate(NamedTuple):
    user_id: str
    public_key: bytes
    generation: int


def member_of(certificate_pem: bytes, authority: x509.Certificate, now_s: float) -> MemberCertificate:
    """What a member's certificate says; raises BadCertificate if it is not one, or not now."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_pem)
        certificate.verify_directly_issued_by(authority)
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        common_names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        generations = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
        generation = int(str(generations[0].value)) if len(generations) == 1 else None
        public_key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature, x509.InvalidVersion) as error:
        raise BadCertificate("this is not a certificate of this tracker") from error
    except (x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise BadCertificate("this is not a member's certificate") from error
    is_member = names.get_values_for_type(x509.DNSName) == [MEMBER_ROLE]
    if not is_member or len(common_names) != 1 or generation is None:
        raise BadCertificate("this is not a member's certificate")
    if not certificate.not_valid_before_utc.timestamp() <= now_s < certificate.not_valid_after_utc.timestamp():
        raise BadCertificate("this certificate is not valid now")
    if not isinstance(public_key, Ed25519PublicKey):
        raise BadCertificate("this certificate is for another kind of key")
    return MemberCertificate(str(common_names[0].value), public_key.public_bytes_raw(), generation)


def expires_at_s(certificate_pem: bytes) -> float:
    """When a certificate issued here ends."""
    return x509.load_pem_x509_certificate(certificate_pem).not_valid_after_utc.timestamp()


def private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _issue(
    authority: Authority,
    subject: x509.Name,
    role: str,
    public_key: Ed25519PublicKey,
    usages: list[x509.ObjectIdentifier],
    now_s: float,
    life_s: float,
) -> bytes:
    builder = _dated(now_s, life_s).subject_name(subject).issuer_name(authority.certificate.subject)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(is_authority=False), True),
        (x509.ExtendedKeyUsage(usages), False),
        (x509.SubjectAlternativeName([x509.DNSName(role)]), False),
        (x509.SubjectKeyIdentifier.from_public_key(public_key), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), False),
    ]
    builder = builder.public_key(public_key)
    for extension, is_critical in extensions:
        builder = builder.add_extension(extension, is_critical)
    return builder.sign(authority.key, None).public_bytes(Encoding.PEM)


def _dated(now_s: float, life_s: float) -> x509.CertificateBuilder:
    begin = dt.datetime.fromtimestamp(now_s - _CLOCK_SKEW_S, dt.UTC)
    end = dt.datetime.fromtimestamp(now_s + life_s, dt.UTC)
    builder = x509.CertificateBuilder().serial_number(x509.random_serial_number())
    return builder.not_valid_before(begin).not_valid_after(end)


def _name(common_name: str, generation: int | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if generation is not None:
        attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, str(generation)))
    return x509.Name(attributes)


def _key_usage(is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
