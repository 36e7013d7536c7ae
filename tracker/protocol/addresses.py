"""Where trackers are, which authority they claim, and under which address a peer is handed out. Pure.

tracker_info.txt names one tracker a line. Its optional third column pins the authority of the tracker, so that a client
needs no trust on first use. The file is written by hand, in any editor on any system: a byte order mark, every kind of
line end, tabs, and `ip:port` beside `ip port` are accepted.

Invariant: an error names the line. Not here: reading the file, resolving or dialling anything.
"""

import hashlib
import ipaddress
import re

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

LINE_SHAPE = "ip port [sha256:64 hex digits]"
INFO_BYTES_MAX = 1 << 20
"""More is not read: the path may name a disk image, or a device that never ends."""

_BYTE_ORDER_MARK = "\ufeff"
_PLACE = re.compile(r"(\[[^\]]*\]|[^:\[\]]+):([^:]+)")
"""`ip:port` or `[ip]:port`. Without brackets, what has more than one colon is an IPv6 address."""
_FINGERPRINT = re.compile(r"sha256:[0-9a-f]{64}")
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*\.?")


class TrackerAddress(msgspec.Struct, frozen=True):
    """One line of tracker_info.txt. `fingerprint` is None where the first authority seen is to be kept."""

    host: str
    port: int
    fingerprint: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class BadTrackerInfo(ValueError):
    """Says which line of tracker_info.txt is wrong, why, and what a line looks like."""


def parse_tracker_info(data: bytes) -> list[TrackerAddress]:
    """All trackers of the file, in its order: the n-th is tracker n. Raises BadTrackerInfo."""
    addresses: list[TrackerAddress] = []
    line_of: dict[tuple[str, int], int] = {}
    for line_number, line in enumerate(_text_of(data).splitlines(), start=1):
        words = line.strip(_BYTE_ORDER_MARK).partition("#")[0].split()
        if not words:
            continue
        try:
            address = _parse_words(words)
        except ValueError as error:
            raise BadTrackerInfo(f"line {line_number}: {error}; a line is: {LINE_SHAPE}") from None
        place = (address.host.lower(), address.port)
        if place in line_of:
            raise BadTrackerInfo(
                f"line {line_number}: {address} is already on line {line_of[place]}; a line is: {LINE_SHAPE}"
            )
        line_of[place] = line_number
        addresses.append(address)
    if not addresses:
        raise BadTrackerInfo(f"line 1: there is no tracker in this file; a line is: {LINE_SHAPE}")
    return addresses


def fingerprint_of(authority_pem: bytes) -> str:
    """What people compare authorities by: SHA-256 over the certificate's DER. Raises ValueError for anything else."""
    return "sha256:" + hashlib.sha256(_certificate_in(authority_pem).public_bytes(Encoding.DER)).hexdigest()


def authority_in(pem: bytes) -> bytes:
    """The certificate that has this fingerprint, and nothing else, in the form that TLS is told to trust. Raises
    ValueError.

    A PEM file may hold anything else around it, even another certificate, which nobody has compared.
    """
    return _certificate_in(pem).public_bytes(Encoding.PEM)


def _certificate_in(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except x509.InvalidVersion as error:
        raise ValueError(str(error)) from error


def reachable_host(observed: str, announced: str) -> str:
    """The address under which a peer is handed out.

    What the tracker sees cannot be forged, so it counts. Only a client on the tracker's own machine, which is seen as
    loopback and would be unreachable for others, may say where it is.
    """
    try:
        seen = _literal(observed)
    except ValueError:
        return observed
    if not seen.is_loopback:
        return str(seen)
    try:
        said = _literal(announced)
    except ValueError:
        return str(seen)
    return str(seen) if said.is_unspecified or said.is_multicast else str(said)


def is_elsewhere(announced: str, reachable: str) -> bool:
    """Whether a client says that it listens at one address alone, and others are sent to another."""
    try:
        said = _literal(announced)
    except ValueError:
        return False
    return not said.is_unspecified and str(said) != reachable


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _text_of(data: bytes) -> str:
    if len(data) > INFO_BYTES_MAX:
        raise BadTrackerInfo(f"line 1: it has more than {INFO_BYTES_MAX} bytes, so it is no list of trackers")
    try:
        text, end = data.decode(), data.find(b"\0")
    except UnicodeDecodeError as error:
        text, end = "", error.start
    if end >= 0:  # a zero byte is how UTF-16 without a byte order mark looks
        line_number = data.count(b"\n", 0, end) + 1
        raise BadTrackerInfo(f"line {line_number}: it is not UTF-8 text; save the file as UTF-8")
    return text


def _parse_words(words: list[str]) -> TrackerAddress:
    if place := _PLACE.fullmatch(words[0]):
        words = [place[1], place[2], *words[1:]]
    if words[0].startswith(":") and words[0].count(":") == 1:
        raise ValueError(f"{words[0]!r} has no IP address before its port")
    if "://" in words[0]:
        raise ValueError(f"{words[0]!r} is a URL; leave out what stands before the address, with its ://")
    if len(words) == 1:
        raise ValueError(f"{words[0]!r} has no port after it")
    if len(words) > 3:
        raise ValueError(f"{words[3]!r} is one word too many")
    fingerprint = words[2].lower() if len(words) == 3 else None
    if fingerprint is not None and not _FINGERPRINT.fullmatch(fingerprint):
        raise ValueError(f"{words[2]!r} is not a fingerprint")
    return TrackerAddress(_parse_host(words[0]), _parse_port(words[1]), fingerprint)


def _parse_host(word: str) -> str:
    bare = word[1:-1] if word.startswith("[") and word.endswith("]") else word
    try:
        return str(ipaddress.ip_address(bare))
    except ValueError:
        # A last label of digits is a mistyped IPv4 address, never a host name.
        if _HOST_NAME.fullmatch(word) and len(word) <= 253 and not word.rstrip(".").rpartition(".")[2].isdigit():
            return word
    raise ValueError(f"{word!r} is neither an IP address nor a host name")


def _parse_port(word: str) -> int:
    if word.isascii() and word.isdigit() and len(word) <= 5 and 1 <= int(word) <= 65535:
        return int(word)
    raise ValueError(f"{word!r} is not a port from 1 to 65535")
