import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine.ipc import fork_folder


def test_the_folder_that_a_killed_client_left_is_removed_by_the_next_which_notes_its_own(tmp_path: Path) -> None:
    left, note = tmp_path / "pymp-left", tmp_path / "note"
    left.mkdir()
    (left / "listener").touch()
    note.write_text(str(left))
    fork_folder.take_note(note)
    assert not left.exists()
    assert note.read_text() == str(fork_folder.path_of_this_process())


@pytest.mark.parametrize("name", ["precious", "pymp"])
def test_a_folder_that_python_did_not_make_is_never_removed(tmp_path: Path, name: str) -> None:
    precious, note = tmp_path / name, tmp_path / "note"
    precious.mkdir()
    note.write_text(str(precious))
    fork_folder.take_note(note)
    assert precious.exists()


def test_a_note_is_private(tmp_path: Path) -> None:
    fork_folder.take_note(tmp_path / "note")
    assert (tmp_path / "note").stat().st_mode & 0o777 == 0o600


def test_a_worker_removes_the_folder_of_a_client_that_died(tmp_path: Path) -> None:
    client = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    pidfd = os.pidfd_open(client.pid)
    folder = tmp_path / "pymp-a"
    folder.mkdir()
    client.kill()
    fork_folder.remove_after(pidfd, folder)
    assert not folder.exists()
    client.wait()
    os.close(pidfd)
    assert client.stdin is not None
    client.stdin.close()
