"""qBittorrent without a screen as a contestant: S seeding clients, one that leeches; all stay started.

Settings, by its own web interface and its wiki's explanation of the advanced ones: TCP only, encryption off, no DHT,
PEX, local discovery or port mapping; no queue, no limit on uploads, several connections from one address; the send
buffers of bench.rivals.libtorrent_process, two hashing and four disk threads, no preallocation, statistics every 50 ms
instead of 1.5 s, so that its end is seen at once. Measured from adding the torrent to the state that follows
completion; peers are named by a tracker. No sync.
Not for: qBittorrent's own queueing, or its encrypted mode.
"""

import json
import urllib.parse
from pathlib import Path
from typing import Any

from bench.contest import Transfer, timed_fetch
from bench.rivals.command import find, version_of
from bench.rivals.daemons import end_server, start_server
from bench.rivals.remote import ask, ask_json, wait_until
from bench.rivals.torrent import TorrentTracker, write_torrent
from tests.testkit.processes import LOOPBACK, free_ports

_PIECE_BYTES = 1 << 20
_BOUNDARY = "shoal-bench-boundary"
_CONFIGURATION = """[LegalNotice]
Accepted=true

[BitTorrent]
Session\\DHTEnabled=false
Session\\LSDEnabled=false
Session\\PeXEnabled=false
Session\\InterfaceAddress={host}
Session\\Port={peer_port}

[Network]
PortForwardingEnabled=false

[Preferences]
WebUI\\Address={host}
WebUI\\LocalHostAuth=false
WebUI\\Port={web_port}
WebUI\\UseUPnP=false
"""
_PREFERENCES: dict[str, Any] = {
    "bittorrent_protocol": 1, "encryption": 2, "dht": False, "pex": False, "lsd": False, "upnp": False,
    "queueing_enabled": False, "max_uploads": -1, "max_uploads_per_torrent": -1,
    "enable_multi_connections_from_same_ip": True, "send_buffer_watermark": 10240, "send_buffer_low_watermark": 1024,
    "send_buffer_watermark_factor": 150, "hashing_threads": 2, "async_io_threads": 4, "request_queue_size": 3000,
    "connection_speed": 500, "preallocate_all": False, "refresh_interval": 50, "limit_lan_peers": False,
    "resolve_peer_countries": False,
}  # fmt: skip
_COMPLETE = ("uploading", "stalledUP", "queuedUP", "forcedUP")


class Qbittorrent:
    """S → 1, plaintext."""

    has_output = True

    def __init__(self, seeders: int) -> None:
        self._seeders = seeders
        self._clients: list[_Client] = []
        self._tracker: TorrentTracker | None = None
        self.name = f"qBittorrent, {seeders} → 1"
        self.settings = ""

    def start(self, source: Path, folder: Path) -> None:
        program = find("qbittorrent-nox")
        self.settings = (
            f"{version_of(program, '--version')}; plaintext, no uTP, pieces of {_PIECE_BYTES >> 20} MiB, large send "
            "buffers, no sync"
        )
        ports = free_ports(self._seeders + 1)
        self._tracker = TorrentTracker(ports[1:])
        torrent = write_torrent(source, folder, _PIECE_BYTES, self._tracker.address)
        for number, port in enumerate(ports):
            self._clients.append(_Client(program, folder / f"client{number}", port, torrent))
        for seeder in self._clients[1:]:
            seeder.add(source.parent, is_there=True)
        for seeder in self._clients[1:]:
            wait_until(seeder.is_complete, "qBittorrent to seed")

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        leecher, *seeders = self._clients

        def run() -> None:
            leecher.add(target, is_there=False)
            wait_until(leecher.is_complete, "qBittorrent's download")

        transfer = timed_fetch(run, leecher.process.pid, [each.process.pid for each in seeders], is_watched)
        leecher.forget()
        return transfer

    def close(self) -> None:
        for client in self._clients:
            end_server(client.process)
        if self._tracker is not None:
            self._tracker.close()


class _Client:
    """One process with a home of its own."""

    def __init__(self, program: str, home: Path, peer_port: int, torrent: Path) -> None:
        self._torrent = torrent
        web_port = free_ports(1)[0]
        self._address = f"http://{LOOPBACK}:{web_port}/api/v2"
        configuration = home / "qBittorrent" / "config" / "qBittorrent.conf"
        configuration.parent.mkdir(parents=True)
        configuration.write_text(_CONFIGURATION.format(host=LOOPBACK, peer_port=peer_port, web_port=web_port))
        self.process = start_server([program, f"--profile={home}"], web_port)
        self._post("app/setPreferences", json=json.dumps(_PREFERENCES))

    def add(self, folder: Path, is_there: bool) -> None:
        """The torrent, with its file in `folder`; `is_there`: it is complete, and is not hashed again."""
        words = {"savepath": str(folder), "skip_checking": "true" if is_there else "false", "autoTMM": "false"}
        begin = f"--{_BOUNDARY}\r\nContent-Disposition: form-data; name="
        parts = [f'{begin}"{key}"\r\n\r\n{value}\r\n' for key, value in words.items()]
        head = f'{begin}"torrents"; filename="{self._torrent.name}"\r\nContent-Type: application/x-bittorrent\r\n\r\n'
        body = "".join([*parts, head]).encode() + self._torrent.read_bytes() + f"\r\n--{_BOUNDARY}--\r\n".encode()
        ask(f"{self._address}/torrents/add", body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"})

    def is_complete(self) -> bool:
        return any(each["progress"] == 1 and each["state"] in _COMPLETE for each in self._torrents())

    def forget(self) -> None:
        """The torrent; the file stays."""
        self._post("torrents/delete", hashes="all", deleteFiles="false")
        wait_until(lambda: not self._torrents(), "qBittorrent to forget a torrent")

    def _torrents(self) -> list[dict[str, Any]]:
        torrents: list[dict[str, Any]] = ask_json(f"{self._address}/torrents/info")
        return torrents

    def _post(self, path: str, **words: str) -> None:
        ask(f"{self._address}/{path}", urllib.parse.urlencode(words).encode())
