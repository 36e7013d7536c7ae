"""Syncthing as a contestant: S devices that have the file, one that is given the folder; all stay started.

It keeps folders equal for ever, so a fetch is: the leecher, connected to everybody, is told to share the folder, and
has the file under its name. That includes the exchange of indexes and the pause it makes before it pulls.

Settings, by its documentation: send-only and receive-only folders, no compression, no relays, discovery or port
mapping, TCP only; no fsync, no watching and no rescans, no weak hashes, two hashers, 256 MiB of pending requests,
no low priority. Its links are always TLS 1.3, one between two devices, and blocks are verified by SHA-256.
Not for: what it is made for, which is many small changes.
"""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from bench.contest import Transfer, timed_fetch
from bench.rivals.command import find, version_of
from bench.rivals.daemons import end_server, start_server
from bench.rivals.remote import ask, ask_json, wait_until
from tests.testkit.processes import LOOPBACK, free_ports

_API_KEY = "shoal-bench"
_HEADERS = {"X-API-Key": _API_KEY}
_FOLDER = "bench"
_OPTIONS = {
    "globalAnnounceEnabled": "false", "localAnnounceEnabled": "false", "relaysEnabled": "false",
    "natEnabled": "false", "crashReportingEnabled": "false", "urAccepted": "-1", "setLowPriority": "false",
    "startBrowser": "false", "autoUpgradeIntervalH": "0", "reconnectionIntervalS": "1", "progressUpdateIntervalS": "-1",
}  # fmt: skip
_FOLDER_OPTIONS: dict[str, Any] = {
    "id": _FOLDER, "rescanIntervalS": 0, "fsWatcherEnabled": False, "disableFsync": True, "hashers": 2,
    "weakHashThresholdPct": 101, "scanProgressIntervalS": -1, "pullerMaxPendingKiB": 256 << 10,
    "maxConcurrentWrites": 8,
}  # fmt: skip


class Syncthing:
    """S → 1, always encrypted."""

    has_output = True

    def __init__(self, seeders: int) -> None:
        self._seeders = seeders
        self._devices: list[_Device] = []
        self.name = f"Syncthing, {seeders} → 1"
        self.settings = ""

    def start(self, source: Path, folder: Path) -> None:
        program, self._file_name = find("syncthing"), source.name
        version = " ".join(version_of(program, "--version").split()[:2])
        self.settings = f"{version}; TLS 1.3, no compression, no weak hashes, no sync"
        self._devices = [_Device(program, folder / f"device{number}") for number in range(self._seeders + 1)]
        for device in self._devices:
            device.start(self._devices)
        leecher, *seeders = self._devices
        for seeder in seeders:
            shared = seeder.home / "shared"
            shared.mkdir()
            os.link(source, shared / source.name)
            seeder.add_folder(shared, "sendonly", [leecher])
            wait_until(seeder.has_scanned, "Syncthing to hash what it shares")
        wait_until(lambda: leecher.count_connected() == self._seeders, "Syncthing's devices to connect")

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        leecher, *seeders = self._devices
        copy = target / self._file_name

        def run() -> None:
            leecher.add_folder(target, "receiveonly", seeders)
            wait_until(copy.exists, "Syncthing's file")

        wait_until(lambda: leecher.count_connected() == self._seeders, "Syncthing's devices to connect again")
        transfer = timed_fetch(run, leecher.pid, [each.pid for each in seeders], is_watched)
        leecher.forget_folder()
        return transfer

    def close(self) -> None:
        for device in self._devices:
            device.close()


class _Device:
    """One process with a home of its own."""

    def __init__(self, program: str, home: Path) -> None:
        self.home = home
        self.process: subprocess.Popen[bytes] | None = None
        self._program = program
        self._peer_port, self._web_port = free_ports(2)
        command = [program, "generate", "--home", str(home), "--no-default-folder", "--skip-port-probing"]
        subprocess.run(command, check=True, capture_output=True)
        told = subprocess.run([program, "--home", str(home), "--device-id"], check=True, capture_output=True, text=True)
        self.device_id = told.stdout.split()[-1]

    def start(self, everybody: "list[_Device]") -> None:
        options = "".join(f"<{name}>{value}</{name}>" for name, value in _OPTIONS.items())
        devices = "".join(
            f'<device id="{each.device_id}" compression="never"><address>{each.address}</address></device>'
            for each in everybody
        )
        (self.home / "config.xml").write_text(
            f'<configuration version="36">{devices}'
            f"<gui><address>{LOOPBACK}:{self._web_port}</address><apikey>{_API_KEY}</apikey></gui>"
            f"<options><listenAddress>{self.address}</listenAddress>{options}</options></configuration>"
        )
        command = [self._program, "serve", "--home", str(self.home), "--no-browser", "--no-restart", "--no-upgrade"]
        self.process = start_server(command, self._web_port)

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def address(self) -> str:
        return f"tcp://{LOOPBACK}:{self._peer_port}"

    def add_folder(self, path: Path, kind: str, others: "list[_Device]") -> None:
        """Share it with them."""
        devices = [{"deviceID": each.device_id} for each in (self, *others)]
        body = json.dumps({**_FOLDER_OPTIONS, "path": str(path), "type": kind, "devices": devices}).encode()
        ask(self._url(f"config/folders/{_FOLDER}"), body, _HEADERS, "PUT")

    def forget_folder(self) -> None:
        """Not shared here any more; its files stay."""
        ask(self._url(f"config/folders/{_FOLDER}"), None, _HEADERS, "DELETE")

    def has_scanned(self) -> bool:
        """Whether it knows its own file."""
        found = ask_json(self._url(f"db/status?folder={_FOLDER}"), _HEADERS)
        return bool(found["localFiles"] == 1 and found["state"] == "idle")

    def count_connected(self) -> int:
        connections: dict[str, Any] = ask_json(self._url("system/connections"), _HEADERS)["connections"]
        return sum(each["connected"] for each in connections.values())

    def close(self) -> None:
        if self.process is not None:
            end_server(self.process)

    def _url(self, path: str) -> str:
        return f"http://{LOOPBACK}:{self._web_port}/rest/{path}"
