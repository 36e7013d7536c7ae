import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.addresses import (
    BadTrackerInfo,
    TrackerAddress,
    authority_in,
    fingerprint_of,
    parse_tracker_info,
    reachable_host,
)
from tracker.authority import make_authority

FINGERPRINT = "sha256:" + "ab" * 32


def test_comments_and_blank_lines_are_skipped() -> None:
    text = f"# all\n\n127.0.0.1 9000 # here\n  ::1 9001 {FINGERPRINT}\ntracker.example 1\n"
    assert parse_tracker_info(text) == [
        TrackerAddress("127.0.0.1", 9000),
        TrackerAddress("::1", 9001, FINGERPRINT),
        TrackerAddress("tracker.example", 1),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("127.0.0.1", "no port"),
        ("127.0.0.1 0", "not a port"),
        ("127.0.0.1 65536", "not a port"),
        ("127.0.0.1 ٣", "not a port"),
        ("300.0.0.1 9000", "neither an IP address nor a host name"),
        ("under_score 9000", "neither an IP address nor a host name"),
        ("127.0.0.1 9000 sha256:12", "not a fingerprint"),
        (f"127.0.0.1 9000 {FINGERPRINT} more", "one word too many"),
        ("10.0.0.1 1", "already on line 1"),
    ],
)
def test_an_error_names_its_line_and_the_right_shape(line: str, complaint: str) -> None:
    with pytest.raises(BadTrackerInfo) as caught:
        parse_tracker_info(f"10.0.0.1 1\n{line}\n")
    sentence = str(caught.value)
    assert sentence.startswith("line 2: ")
    assert complaint in sentence
    assert "ip port [sha256:64 hex digits]" in sentence


def test_a_file_without_trackers_is_an_error() -> None:
    with pytest.raises(BadTrackerInfo, match="no tracker"):
        parse_tracker_info("# nobody\n")


@given(st.text())
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        addresses = parse_tracker_info(text)
    except BadTrackerInfo:
        return
    assert parse_tracker_info("\n".join(f"{a.host} {a.port}" for a in addresses)) == [
        TrackerAddress(a.host, a.port) for a in addresses
    ]


@given(st.lists(st.tuples(st.ip_addresses(), st.integers(1, 65535)), min_size=1, unique=True))
def test_every_list_of_addresses_round_trips(
    places: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]],
) -> None:
    text = "\n".join(f"{host} {port}" for host, port in places)
    assert parse_tracker_info(text) == [TrackerAddress(str(host), port) for host, port in places]


def test_fingerprint_is_of_the_certificate_and_stable() -> None:
    _, pem = make_authority(1.8e9)
    assert fingerprint_of(pem) == fingerprint_of(pem.replace(b"\n", b"\r\n"))
    assert len(fingerprint_of(pem)) == len(FINGERPRINT)


def test_only_the_certificate_that_was_compared_is_believed() -> None:
    """Not a second one behind it, nor words that cannot be told to TLS."""
    _, pem = make_authority(1.8e9)
    _, other = make_authority(1.8e9)
    for around in (pem + other, "é\n".encode() + pem + b"\xff"):
        assert authority_in(around) == pem
        assert fingerprint_of(around) == fingerprint_of(pem)


@pytest.mark.parametrize("pem", [b"", b"no certificate", b"\xff"])
def test_what_is_no_authority_has_no_fingerprint(pem: bytes) -> None:
    for read in (authority_in, fingerprint_of):
        with pytest.raises(ValueError, match=r"PEM|valid"):
            read(pem)


@pytest.mark.parametrize(
    ("observed", "announced", "handed_out"),
    [
        ("192.0.2.7", "10.0.0.1", "192.0.2.7"),
        ("127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "10.0.0.1", "10.0.0.1"),
        ("::ffff:192.0.2.7", "10.0.0.1", "192.0.2.7"),
        ("127.0.0.1", "0.0.0.0", "127.0.0.1"),
        ("127.0.0.1", "::", "127.0.0.1"),
        ("127.0.0.1", "evil.example", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
    ],
)
def test_an_announced_host_is_believed_only_from_this_machine(
    observed: str, announced: str, handed_out: str
) -> None:
    assert reachable_host(observed, announced) == handed_out
