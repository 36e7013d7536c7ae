"""What a user reads after a command, where more than one thing may have happened."""

import pytest
from msgspec.structs import replace

from engine.reports import DownloadState, DownloadStatus, LoginReport, ShareStatus, StopReport, UploadReport
from engine.shell.answers import sentences
from tracker.protocol.results import FileEntry

MIB = 1 << 20
STATUS = DownloadStatus("lab", "a.bin", "/data/a.bin", "copying", 8 * MIB, 2 * MIB, 0.0, 0, {}, 0.0)


@pytest.mark.parametrize(
    ("report", "end"),
    [
        (StopReport("lab", "x", True), "nobody else online has it, so it left the group's list"),
        (StopReport("lab", "x", False), "stopped sharing x in lab"),
        (StopReport("lab", "x", False, is_pending=True), "is told when one does, also after a restart"),
        (StopReport("lab", "x", False, still_shared_by=["cy", "bob"]), "and is shared by cy and bob"),
        (StopReport("lab", "x", False, is_shared_elsewhere=True), "and is shared by another client of yours"),
        (StopReport("lab", "x", True, was_shared=False), "nobody online has it, and this client did not share it"),
    ],
)
def test_the_end_of_a_share_says_what_became_of_its_name(report: StopReport, end: str) -> None:
    assert sentences.stopped(report).endswith(end)


@pytest.mark.parametrize(
    ("state", "letter", "remark"),
    [
        ("following", "[W]", "waits for /data/b.bin, which will have the same content"),
        ("copying", "[D]", "copying /data/b.bin, which has the same content"),
        ("stuck", "[S]", "stuck: there is no folder /data"),
        ("paused", "[P]", "paused: there is no folder /data"),
        ("failed", "[F]", "failed: there is no folder /data"),
    ],
)
def test_each_state_has_its_letter_and_says_why(state: DownloadState, letter: str, remark: str) -> None:
    row = sentences.downloads(
        [replace(STATUS, state=state, copied_from="/data/b.bin", error="there is no folder /data", error_code="x")]
    )
    assert row.startswith(letter)
    assert row.rstrip().endswith(remark)
    assert "25 %" in row


def test_a_path_that_could_act_on_a_terminal_is_shown_escaped() -> None:
    row = sentences.downloads([replace(STATUS, copied_from="/data/evil\x1b[2J")])
    assert "\x1b" not in row


def test_what_was_copied_is_said_with_its_source() -> None:
    text = sentences.downloaded(replace(STATUS, state="complete", copied_from="/data/b.bin", reused_bytes=8 * MIB))
    assert "copied from /data/b.bin, which has the same content" in text


def test_a_login_says_what_is_shared_but_not_served_yet_and_why() -> None:
    away = ShareStatus("lab", "a.bin", "/mnt/a.bin", 9, "missing", "cannot read /mnt/a.bin: no such file", 0)
    read = ShareStatus("lab", "b.bin", "/b.bin", 100, "rereading", "its marks changed", 25)
    text = sentences.logged_in(LoginReport("ann", 3, [], 0, [away, read]))
    assert "3 shares resumed" in text
    assert "not served yet: a.bin in lab (missing: cannot read /mnt/a.bin: no such file)" in text
    assert "not served yet: b.bin in lab (rereading, 25 %: its marks changed)" in text


def test_a_replaced_file_is_not_said_to_have_been_unshared() -> None:
    """Whoever replaces it may have shared it until then."""
    report = UploadReport("g", "data.bin", "/b/data.bin", 1, "00" * 32, False, 0.5, has_replaced=True)
    assert sentences.uploaded(report).endswith("in place of another of that name, which is shared no more")


def test_every_list_of_files_tells_names_apart_that_look_the_same() -> None:
    names = "caf\u00e9", "cafe\u0301"
    entries = [FileEntry(name, 9, bytes(32), "ann", 1) for name in names]
    shares = [ShareStatus("lab", name, "/data/x", 9, "served", "", 0) for name in names]
    downloads = [replace(STATUS, name=name) for name in names]
    for text in (sentences.files("lab", entries), sentences.shares(shares), sentences.downloads(downloads)):
        assert "(caf\\xe9)" in text
        assert "(cafe\\u0301)" in text
