"""Workers that die, hang or cannot be started; and clients that do."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.ipc import orders
from engine.settings import Settings
from tests.engine.conftest import World, link_count
from tests.engine.coordinator.test_transfer import until
from tests.testkit.processes import ROOT

MIB = 1 << 20


@pytest.fixture
async def sealed(world: World) -> World:
    if world.is_open:
        pytest.skip("the data channel makes no difference here")
    return world


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGILL])
async def test_a_worker_that_dies_by_any_signal_is_replaced_within_a_second(sealed: World, number: int) -> None:
    node = await sealed.node("node")
    pids = node.worker_pids()
    os.kill(pids[0], number)
    begun_s = time.monotonic()
    await until(lambda: bool(node.directory.notices))
    assert time.monotonic() - begun_s < 1
    await until(lambda: len(node.worker_pids()) == 2)
    assert pids[0] not in node.worker_pids()
    assert [code for code, _ in node.directory.notices] == ["worker_died"]


async def test_a_worker_that_hangs_is_ended_and_its_pieces_are_fetched_by_another(sealed: World) -> None:
    seeder = await sealed.node("seeder")
    leecher = await sealed.node("leecher", Settings(workers=2, worker_beats_missed_max=1))
    path, manifest = await sealed.file("data.bin", 128 * MIB, seeder)
    seeder.serve(path, manifest)
    leecher.knows(seeder)
    download, fetching = leecher.fetch(sealed.folder / "copy.bin", manifest)
    # Both workers have a link by then, and so pieces to lose.
    await until(lambda: download.verified_bytes > 4 * MIB and link_count(download) == 2)
    os.kill(leecher.worker_pids()[0], signal.SIGSTOP)
    async with asyncio.timeout(30):
        await fetching
    assert (sealed.folder / "copy.bin").read_bytes() == path.read_bytes()
    ((code, message),) = leecher.directory.notices
    assert code == "worker_died"
    assert "did not answer" in message


async def test_an_idle_pool_is_asked_seldom_and_one_that_is_given_something_to_do_at_once(
    sealed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.coordinator.pool._BEAT_S", 0.05)
    monkeypatch.setattr("engine.coordinator.pool._IDLE_BEAT_S", 3600.0)
    node = await sealed.node("node", Settings(workers=2, worker_beats_missed_max=20))
    pool = node.coordinator._pool
    await until(lambda: pool._is_idle)
    hung = node.worker_pids()[0]
    os.kill(hung, signal.SIGSTOP)
    pool.send_all(orders.RemoveFile(1, "an order"))
    await until(lambda: [code for code, _ in node.directory.notices] == ["worker_died"])
    assert "did not answer" in node.directory.notices[0][1]
    await until(lambda: len(node.worker_pids()) == 2 and hung not in node.worker_pids())


async def test_the_fork_server_may_die_too(sealed: World) -> None:
    node = await sealed.node("node")
    worker = psutil.Process(node.worker_pids()[0])
    server = worker.parent()
    assert server is not None
    server.kill()
    worker.kill()
    await until(lambda: len(node.worker_pids()) == 2 and worker.pid not in node.worker_pids())


async def test_a_fence_is_passed_when_all_orders_were_carried_out_or_their_worker_is_dead(sealed: World) -> None:
    node = await sealed.node("node")
    pool = node.coordinator._pool
    assert await pool.fence(5)
    stopped = node.worker_pids()[0]
    os.kill(stopped, signal.SIGSTOP)
    assert not await pool.fence(0.1)
    waiting = asyncio.create_task(pool.fence(10))
    await asyncio.sleep(0)
    os.kill(stopped, signal.SIGKILL)
    assert await waiting


_CLIENT = """
import asyncio, sys
from pathlib import Path
from engine.settings import Settings
from engine.ipc import fork_folder
from engine.coordinator.coordinator import Coordinator
from tests.testkit.fakes import Club, FakeDirectory
from tracker.protocol import tickets

async def main():
    coordinator = Coordinator(Settings(workers=2), tickets.check, FakeDirectory(Club().member("ann")))
    fork_folder.take_note(Path(sys.argv[1]))
    await coordinator.start()
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await coordinator.close()

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.parametrize("end", ["killed", "killed with all its workers", "in good order"])
def test_a_client_that_ends_in_any_way_leaves_no_process_and_no_temporary_file(tmp_path: Path, end: str) -> None:
    (tmp_path / "client.py").write_text(_CLIENT)
    (tmp_path / "t").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "t"), "PYTHONPATH": str(ROOT)}

    def start() -> "subprocess.Popen[bytes]":
        command = [sys.executable, str(tmp_path / "client.py"), str(tmp_path / "note")]
        client = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert client.stdout is not None
        assert client.stdout.readline() == b"ready\n"
        return client

    with start() as client:
        family = psutil.Process(client.pid).children(recursive=True)
        assert len(list((tmp_path / "t").iterdir())) == 1
        if end != "in good order":
            for process in family if end == "killed with all its workers" else ():
                process.kill()
            client.kill()
        elif client.stdin is not None:
            client.stdin.close()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
    if end == "killed with all its workers":
        with start() as next_client:  # whoever comes next clears up
            assert len(list((tmp_path / "t").iterdir())) == 1
            next_client.communicate()
    assert list((tmp_path / "t").iterdir()) == []
