"""The demonstration: a tracker and four clients on this machine; three share a file, the fourth fetches it.

It runs the same programs with the same commands as a user would; the screen shown is that of the fourth client.
"""

import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.testkit.processes import LOOPBACK, ROOT, ShellProcess, TrackerProcess, free_ports, write_tracker_info

SIZE_BYTES = 256 << 20
_CHUNK_BYTES = 16 << 20
_NAME = "dataset.bin"


def run() -> int:
    """0 if the file arrived whole."""
    with tempfile.TemporaryDirectory(prefix="shoal-demo-") as name, ExitStack() as stack:
        folder = Path(name)
        tracker_info = write_tracker_info(folder)
        tracker = TrackerProcess(tracker_info, 1, folder / "tracker")
        stack.callback(tracker.stop)
        print(f"$ python -m tracker tracker_info.txt 1\n{tracker.ready_line}\n", flush=True)
        source = folder / _NAME
        _write_random(source)
        ports = free_ports(4)
        seeders = []
        for number, port in enumerate(ports[:3], start=1):
            seeder = _Seeder(number, port, tracker_info, folder)
            stack.callback(seeder.shell.close)
            seeders.append(seeder)
        seeders[0].shell.expect("create_group lab")
        for seeder in seeders:
            if seeder is not seeders[0]:
                seeder.join(seeders[0])
            seeder.share(source)
        leecher = ShellProcess(tracker_info, ports[3], folder / "leecher")
        leecher.expect("create_user leecher demo")
        leecher.expect("login leecher demo")
        leecher.expect("join_group lab")
        leecher.close()
        seeders[0].shell.expect("accept_request lab leecher")
        return _fetch(tracker_info, ports[3], folder, source)


class _Seeder:
    def __init__(self, number: int, port: int, tracker_info: Path, folder: Path) -> None:
        self.user_id = f"seeder{number}"
        self._folder = folder / self.user_id
        self.shell = ShellProcess(tracker_info, port, folder / f"state{number}")
        self.shell.expect(f"create_user {self.user_id} demo")
        self.shell.expect(f"login {self.user_id} demo")

    def join(self, owner: "_Seeder") -> None:
        self.shell.expect("join_group lab")
        owner.shell.expect(f"accept_request lab {self.user_id}")

    def share(self, source: Path) -> None:
        """A copy of its own, as on a machine of its own."""
        self._folder.mkdir()
        copy = self._folder / source.name
        shutil.copyfile(source, copy)
        result = self.shell.expect(f"upload_file '{copy}' lab")
        print(f"{self.user_id}> upload_file {source.name} lab   ({result['seconds']:.2f} s)", flush=True)


def _write_random(path: Path) -> None:
    with path.open("wb") as file:
        for _ in range(SIZE_BYTES // _CHUNK_BYTES):
            file.write(os.urandom(_CHUNK_BYTES))


def _fetch(tracker_info: Path, port: int, folder: Path, source: Path) -> int:
    downloads = folder / "downloads"
    downloads.mkdir()
    commands = ["login leecher demo", "list_files lab", f"download_file lab {_NAME} {downloads}", "show_downloads"]
    print("\nleecher> " + "\nleecher> ".join(commands).replace(str(folder), "~") + "\n", flush=True)
    shell = [sys.executable, str(ROOT / "cli.py"), f"{LOOPBACK}:{port}", str(tracker_info)]
    result = subprocess.run(
        [*shell, "--state", str(folder / "leecher")], cwd=ROOT, input="\n".join(commands) + "\n", text=True, check=False
    )
    is_same = result.returncode == 0 and filecmp.cmp(source, downloads / _NAME, shallow=False)
    print("\nthe copy is identical to the original" if is_same else "\nthe file did NOT arrive whole", flush=True)
    return 0 if is_same else 1
