import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol.addresses import (
    INFO_BYTES_MAX,
    BadTrackerInfo,
    TrackerAddress,
    authority_in,
    fingerprint_of,
    parse_tracker_info,
    reachable_host,
)
from tracker.protocol.authority import make_authority

FINGERPRINT = "sha256:" + "ab" * 32


def test_comments_and_blank_lines_are_skipped() -> None:
    text = f"# all\n\n127.0.0.1 9000 # here\n  ::1 9001 {FINGERPRINT}\ntracker.example 1\n"
    assert parse_tracker_info(text.encode()) == [
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
        (":9000", "':9000' has no IP address before its port"),
        ("tcp://127.0.0.1:9000", "is a URL; leave out what stands before the address"),
    ],
)
def test_an_error_names_its_line_and_the_right_shape(line: str, complaint: str) -> None:
    with pytest.raises(BadTrackerInfo) as caught:
        parse_tracker_info(f"10.0.0.1 1\n{line}\n".encode())
    sentence = str(caught.value)
    assert sentence.startswith("line 2: ")
    assert complaint in sentence
    assert "ip port [sha256:64 hex digits]" in sentence


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_lines_are_read_as_any_editor_and_any_habit_writes_them(mark: str, end: str) -> None:
    lines = [
        f"{mark}127.0.0.1:9000", f"[::1]:9001\t{FINGERPRINT}  ", "\ttracker.example:9002# here", "  # nothing", "\t ",
        "[::1]  9003", "10.0.0.1\t9004\t", f"\ufeff10.0.0.1 9005 {FINGERPRINT.upper()}",
    ]  # fmt: skip
    assert parse_tracker_info(end.join(lines).encode()) == [
        TrackerAddress("127.0.0.1", 9000),
        TrackerAddress("::1", 9001, FINGERPRINT),
        TrackerAddress("tracker.example", 9002),
        TrackerAddress("::1", 9003),
        TrackerAddress("10.0.0.1", 9004),
        TrackerAddress("10.0.0.1", 9005, FINGERPRINT),
    ]


@pytest.mark.parametrize(
    "line",
    ["127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:9000:1", "::1:9000", "[::1]9000", "[::1]:", ":9000",
     "[127.0.0.1:9000", "127.0.0.1:9000 9001", "http://127.0.0.1:9000", "127.0.0.1;9000"],
)  # fmt: skip
def test_half_an_address_is_refused_with_its_line(line: str) -> None:
    with pytest.raises(BadTrackerInfo, match=r"line 2: .*; a line is: "):
        parse_tracker_info(f"10.0.0.1 1\n{line}\n".encode())


@pytest.mark.parametrize(
    ("data", "line"),
    [("127.0.0.1 9000\n".encode("utf-16"), 1), ("127.0.0.1 9000\n".encode("utf-16-le"), 1),
     ("127.0.0.1 9000\n".encode("utf-16-be"), 1), ("127.0.0.1 9000\n# K\u00f6ln\n".encode("latin-1"), 2)],
)  # fmt: skip
def test_another_encoding_is_named_as_that(data: bytes, line: int) -> None:
    with pytest.raises(BadTrackerInfo) as caught:
        parse_tracker_info(data)
    assert str(caught.value) == f"line {line}: it is not UTF-8 text; save the file as UTF-8"


def test_what_is_far_too_long_is_no_list() -> None:
    with pytest.raises(BadTrackerInfo, match="no list of trackers"):
        parse_tracker_info(b"#" * (INFO_BYTES_MAX + 1))


def test_a_file_without_trackers_is_an_error() -> None:
    with pytest.raises(BadTrackerInfo, match="no tracker"):
        parse_tracker_info(b"# nobody\n")


@given(st.binary() | st.text().map(str.encode))
def test_any_text_parses_or_is_refused(data: bytes) -> None:
    try:
        addresses = parse_tracker_info(data)
    except BadTrackerInfo:
        return
    assert parse_tracker_info("\n".join(f"{a.host} {a.port}" for a in addresses).encode()) == [
        TrackerAddress(a.host, a.port) for a in addresses
    ]


@given(st.lists(st.tuples(st.ip_addresses(), st.integers(1, 65535)), min_size=1, unique=True))
def test_every_list_of_addresses_round_trips(
    places: list[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]],
) -> None:
    text = "\n".join(f"{host} {port}" for host, port in places)
    assert parse_tracker_info(text.encode()) == [TrackerAddress(str(host), port) for host, port in places]
    text = "\n".join(str(TrackerAddress(str(host), port)) for host, port in places)
    assert parse_tracker_info(text.encode()) == [TrackerAddress(str(host), port) for host, port in places]


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
def test_an_announced_host_is_believed_only_from_this_machine(observed: str, announced: str, handed_out: str) -> None:
    assert reachable_host(observed, announced) == handed_out
