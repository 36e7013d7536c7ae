"""Paths of files and destinations as people and scripts write them, and files that are none."""

import os
from collections.abc import Iterator

import pytest

from tests.end_to_end.test_terminal import Terminal
from tests.end_to_end.world import PASSWORD, World, quote, refusal, upload
from tests.testkit.processes import ShellProcess

pytestmark = [pytest.mark.end_to_end, pytest.mark.xdist_group("paths")]


@pytest.fixture(scope="module")
def club(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("paths"))
    try:
        world.start_tracker()
        yield world
    finally:
        world.close()


@pytest.fixture(scope="module")
def ann(club: World) -> ShellProcess:
    """Shares data.bin in the group lab."""
    client = club.join_in("ann")
    client.expect("create_group lab")
    upload(client, club.new_file(size_bytes=100_000), "lab")
    return client


@pytest.fixture(scope="module")
def membership(club: World, ann: ShellProcess) -> None:
    """ben is a member of lab."""
    club.join_in("ben").expect("join_group lab")
    ann.expect("accept_request lab ben")


@pytest.fixture
def ben(club: World, membership: None) -> ShellProcess:
    """A member of lab who has fetched nothing."""
    return club.client_anew("ben")


@pytest.mark.parametrize("ending", ["new/", "new/deep/er/", "link/new/"])
def test_a_destination_that_ends_in_a_slash_is_made(club: World, ben: ShellProcess, ending: str) -> None:
    folder = club.new_folder()
    (folder / "real").mkdir()
    (folder / "link").symlink_to("real")
    answer = ben.expect(f"download_file lab data.bin {folder}/{ending}")
    assert answer["path"] == str((folder / ending).resolve() / "data.bin")
    assert (folder / ending / "data.bin").stat().st_size == 100_000
    umask = os.umask(0)
    os.umask(umask)
    assert (folder / ending).stat().st_mode & 0o777 == 0o777 & ~umask


def test_a_download_that_is_refused_leaves_no_folder(club: World, ben: ShellProcess) -> None:
    folder = club.new_folder()
    assert refusal(ben, f"download_file lab nothing.bin {folder}/new/") == "no_such_file"
    assert refusal(ben, f"download_file lab data.bin {folder}/new/data.bin") == "no_folder"
    assert list(folder.iterdir()) == []


def test_an_empty_destination_and_an_empty_path_are_refused(ben: ShellProcess) -> None:
    for command in ("download_file lab data.bin ''", 'download_file lab data.bin ""', "upload_file '' lab"):
        answer = ben.run(command)
        assert not answer["ok"]
        assert "is empty" in answer["error"]["message"]
        assert answer["error"]["code"] == "usage"


def test_a_home_that_is_not_there_is_refused(ben: ShellProcess) -> None:
    for command in ("download_file lab data.bin ~nobody-is-called-so/", "upload_file ~nobody-is-called-so/a lab"):
        answer = ben.run(command)
        assert "there is no home ~nobody-is-called-so" in answer["error"]["message"]


@pytest.mark.parametrize("kind", ["folder", "pipe", "link", "dangling"])
def test_what_stands_in_the_way_of_a_download_is_named(club: World, ben: ShellProcess, kind: str) -> None:
    folder = club.new_folder()
    target = folder / "data.bin"
    if kind == "folder":
        target.mkdir()
    elif kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to(club.new_file() if kind == "link" else folder / "nowhere")
    answer = ben.run(f"download_file lab data.bin {folder}")
    assert answer["error"]["code"] == "target_exists"
    assert "at " + str(target) in answer["error"]["message"]
    assert "share" not in answer["error"]["message"]
    assert [each.name for each in folder.iterdir()] == ["data.bin"]


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/dev/null", "not_a_file", "a device"), ("/tmp", "not_a_file", "a folder"), (".", "not_a_file", "a folder"),
        ("/proc/cpuinfo", "wrong_size", "copy it"), ("/proc/self/status", "wrong_size", "copy it"),
        ("/nowhere/at/all", "no_file", "there is no file"), ("/etc/passwd/x", "no_file", "there is no file"),
    ],
)  # fmt: skip
def test_what_is_no_file_is_not_shared(ann: ShellProcess, path: str, code: str, words: str) -> None:
    answer = ann.run(f"upload_file {path} lab")
    assert (answer["ok"], answer["error"]["code"]) == (False, code)
    assert words in answer["error"]["message"]
    assert [each["name"] for each in ann.expect("list_files lab")["files"]] == ["data.bin"]


def test_a_path_with_bytes_that_are_not_utf8_is_refused(club: World, ann: ShellProcess) -> None:
    folder = club.new_folder() / "old\udcff"
    folder.mkdir()
    (folder / "data.bin").touch()
    assert refusal(ann, f"upload_file {quote(folder / 'data.bin')} lab") == "bad_name"


def test_from_a_pipe_the_answers_are_sentences(club: World, ann: ShellProcess) -> None:
    folder = club.new_folder()
    script = "create_user cy pw\nlogin cy pw\ncreate_group own\nupload_file /proc/cpuinfo own\nlist_files own\n"
    run = club.run_script("cy", script + f"download_file own x ''\ndownload_file own x {folder}/new/\n")
    assert run.code == 1
    errors = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert ["does not end where its size says" in errors[0], "is empty" in errors[1]] == [True, True]
    assert "there are no files in own yet" in run.out
    assert list(folder.iterdir()) == []


def test_at_a_terminal_a_folder_is_made_and_a_hash_is_said(club: World, ann: ShellProcess) -> None:
    folder = club.new_folder()
    terminal = Terminal(club, "dee")
    try:
        terminal.see("shoal>")
        terminal.run(f"create_user dee {PASSWORD}", "made the account")
        terminal.run(f"login dee #{PASSWORD}", "begins a comment")
        terminal.run(f"login dee {PASSWORD} #mine", "is taken for a comment", "dee>")
        terminal.run("join_group lab", "asked to", "dee>")
        ann.expect("accept_request lab dee")
        terminal.see("you are a member")
        terminal.run("download_file lab data.bin ''", "is empty", "dee>")
        terminal.run(f"download_file lab data.bin {folder}/new/", "verified", "dee>")
        (folder / "taken" / "data.bin").mkdir(parents=True)
        terminal.run(f"download_file lab data.bin {folder}/taken", "there is a folder at", "dee>")
        assert terminal.leave() == 0
    finally:
        terminal.close()
    assert (folder / "new" / "data.bin").stat().st_size == 100_000
