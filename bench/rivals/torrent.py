"""A torrent file (BEP 3), and a tracker (BEP 23) that names the ports it is given: what BitTorrent rivals need.

Not for: web seeds, several files, private torrents.
"""

import hashlib
import socket
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

LOOPBACK = "127.0.0.1"


def bencode(value: object) -> bytes:
    match value:
        case int():
            return b"i%de" % value
        case bytes():
            return b"%d:%s" % (len(value), value)
        case str():
            return bencode(value.encode())
        case Mapping():
            return b"d" + b"".join(bencode(key) + bencode(value[key]) for key in sorted(value)) + b"e"
        case Sequence():
            return b"l" + b"".join(map(bencode, value)) + b"e"
        case _:
            raise TypeError(f"{value!r} has no bencoding")


def write_torrent(source: Path, folder: Path, piece_bytes: int, announce: str = "") -> Path:
    """Version 1, SHA-1 a piece."""
    hashes = bytearray()
    with source.open("rb") as file:
        while piece := file.read(piece_bytes):
            hashes += hashlib.sha1(piece, usedforsecurity=False).digest()
    info = {"length": source.stat().st_size, "name": source.name, "piece length": piece_bytes, "pieces": bytes(hashes)}
    path = folder / f"{source.name}.torrent"
    path.write_bytes(bencode({"announce": announce, "info": info} if announce else {"info": info}))
    return path


class TorrentTracker:
    """Answers every announce with the same peers, in a thread."""

    def __init__(self, peer_ports: Sequence[int]) -> None:
        peers = b"".join(socket.inet_aton(LOOPBACK) + port.to_bytes(2, "big") for port in peer_ports)
        answer = bencode({"interval": 1800, "peers": peers})

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.address = f"http://{LOOPBACK}:{self._server.server_port}/announce"
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
