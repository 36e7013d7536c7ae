"""The real thing: `python -m tracker` as a process, killed, stopped and misused."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.testkit.processes import free_ports
from tracker.client.connection import TrackerConnection, fetch_authority
from tracker.protocol import invite_codes, manifests, requests, results
from tracker.protocol.addresses import TrackerAddress, fingerprint_of
from tracker.protocol.results import Done, LoggedIn

pytestmark = pytest.mark.end_to_end


class Runner:
    def __init__(self, folder: Path) -> None:
        self.info = folder / "tracker_info.txt"
        self.state = folder / "state"
        self.address = TrackerAddress("127.0.0.1", free_ports(1)[0])
        self.info.write_text(f"{self.address.host} {self.address.port}\n")
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tracker", *(arguments or (str(self.info), "1")), "--state", str(self.state)]
        environment = {**os.environ, "PYTHONWARNINGS": "default"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        self.running.append(process)
        return process

    def start_ready(self) -> tuple[subprocess.Popen[str], str]:
        process = self.start()
        assert process.stdout is not None
        return process, process.stdout.readline()

    def failing(self, *arguments: str) -> tuple[int, str]:
        process = self.start(*arguments)
        _, errors = process.communicate(timeout=20)
        return process.returncode, errors


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(tmp_path)
    yield runner
    for process in runner.running:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def enter(address: TrackerAddress, is_new: bool) -> TrackerConnection:
    authority_pem = await fetch_authority(address, 5)
    connection = await TrackerConnection.open(address, authority_pem, lambda _: None, lambda _: None, 5)
    if is_new:
        assert await connection.call(requests.CreateUser("ann", "pw")) == Done()
    key = Ed25519PrivateKey.generate()
    proof = key.sign(requests.login_challenge(connection.nonce, "ann"))
    request = requests.Login("ann", "pw", key.public_key().public_bytes_raw(), proof)
    assert isinstance(await connection.call(request), LoggedIn)
    return connection


async def test_what_was_acknowledged_survives_a_kill(runner: Runner) -> None:
    process, line = runner.start_ready()
    assert line.startswith(f"tracker 1 listening on {runner.address}, fingerprint sha256:")
    connection = await enter(runner.address, is_new=True)
    publish = manifests.Publish("lab", "a", 5, 1 << 18, bytes(32), bytes(32))
    request_id = bytes(range(16))
    assert await connection.call(requests.CreateGroup("lab"), request_id) == Done()
    assert await connection.call(publish) == manifests.Published(False)
    process.kill()
    process.wait()
    await connection.close()
    again, second_line = runner.start_ready()
    assert second_line == line
    connection = await enter(runner.address, is_new=False)
    assert await connection.call(requests.CreateGroup("lab"), request_id) == Done()
    manifest = await connection.call(manifests.FetchManifest("lab", "a"))
    assert isinstance(manifest, manifests.Manifest)
    assert manifest.leaves == publish.leaves
    again.send_signal(signal.SIGTERM)
    _, errors = await asyncio.to_thread(again.communicate, timeout=10)
    assert (again.returncode, errors) == (0, "")
    await connection.close()


def test_an_interrupt_ends_it_cleanly(runner: Runner) -> None:
    process, _ = runner.start_ready()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=10)
    assert (process.returncode, output, errors) == (0, "", "")


def test_a_taken_port_is_said(runner: Runner) -> None:
    with socket.create_server((runner.address.host, runner.address.port)):
        code, errors = runner.failing()
    assert code == 1
    assert errors.startswith(f"error: cannot listen on {runner.address}: ")
    assert errors.count("\n") == 1


def test_wrong_usage_exits_with_two(runner: Runner) -> None:
    assert runner.failing(str(runner.info), "zero")[0] == 2


@pytest.mark.parametrize(
    ("text", "number", "complaint"),
    [("127.0.0.1\n", "1", "line 1"), ("127.0.0.1 1\n", "2", "no tracker 2"), ("\xff\n", "1", "line 1")],
)
def test_a_bad_tracker_info_is_said_in_one_line(runner: Runner, text: str, number: str, complaint: str) -> None:
    runner.info.write_text(text)
    code, errors = runner.failing(str(runner.info), number)
    assert code == 1
    assert errors.startswith("error: ")
    assert complaint in errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("zero",), "not the number of a tracker"),
        (("0",), "not the number of a tracker"),
        (("1", "--ticket-life", "nan"), "'nan' is not a number of seconds from 1 to 600"),
        (("1", "--state", ""), "empty"),
    ],
)
def test_wrong_usage_is_said_in_words(runner: Runner, arguments: tuple[str, ...], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tracker", str(runner.info), *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert complaint in done.stderr


def test_a_state_folder_that_is_a_file_is_said(runner: Runner) -> None:
    runner.state.touch()
    code, errors = runner.failing()
    assert code == 1
    assert errors == f"error: {runner.state} is no folder, or lies in a file; choose another with --state\n"


def test_a_foreign_database_is_said_in_one_line(runner: Runner) -> None:
    runner.state.mkdir()
    (runner.state / "tracker.db").write_bytes(b"my diary " * 1000)
    code, errors = runner.failing()
    assert code == 1
    assert errors.startswith("error: ")
    assert "Traceback" not in errors


def test_it_does_not_run_under_anothers_fingerprint(runner: Runner) -> None:
    runner.info.write_text(f"{runner.address.host} {runner.address.port} sha256:{'0' * 64}\n")
    code, errors = runner.failing()
    assert code == 1
    assert "fingerprint" in errors or "sha256:" in errors


async def test_the_printed_fingerprint_is_the_authoritys(runner: Runner) -> None:
    _, line = runner.start_ready()
    assert line.split()[-1] == fingerprint_of(await fetch_authority(runner.address, 5))


def test_a_copy_is_made_beside_a_running_tracker_and_put_back_only_without_one(runner: Runner, tmp_path: Path) -> None:
    process, line = runner.start_ready()
    copy = str(tmp_path / "copy")

    def keep(command: str) -> tuple[int, str, str]:
        done = runner.start(command, copy)
        output, errors = done.communicate(timeout=20)
        return done.returncode, output, errors

    assert keep("backup") == (0, f"copied {runner.state / 'tracker.db'} to {copy}: 0 accounts, 0 groups, 0 files\n", "")
    code, _, errors = keep("restore")
    assert (code, errors) == (1, f"error: a tracker uses {runner.state}; end it first, then restore\n")
    process.kill()
    process.wait()
    assert keep("restore")[0] == 0
    assert runner.start_ready()[1] == line


async def test_the_first_account_of_a_closed_tracker_is_made_with_the_printed_invitation(runner: Runner) -> None:
    process = runner.start(str(runner.info), "1", "--registration", "invite")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("tracker 1 listening")
    code = invite_codes.parse_invite(process.stdout.readline().split()[-1])
    authority_pem = await fetch_authority(runner.address, 5)
    connection = await TrackerConnection.open(runner.address, authority_pem, lambda _: None, lambda _: None, 5)
    refused = await connection.call(requests.CreateUser("ann", "pw"))
    assert isinstance(refused, results.Refused)
    assert refused.code == "invite_needed"
    assert await connection.call(requests.CreateUser("ann", "pw", code)) == Done()
    await connection.close()


@pytest.mark.parametrize("option", [("--ticket-life", "601"), ("--ticket-life", "0"), ("--registration", "closed")])
def test_a_policy_that_cannot_be_is_wrong_usage(runner: Runner, option: tuple[str, str]) -> None:
    assert runner.failing(str(runner.info), "1", *option)[0] == 2
