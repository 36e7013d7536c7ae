"""nginx as server, curl or aria2c as client, over HTTP or HTTPS.

nginx: one worker a core, sendfile with large chunks, tcp_nopush, keep-alive, no log; over TLS 1.3 with its
ssl_buffer_size default. aria2c: 16 connections, `--file-allocation=falloc`, pieces as large as the share of a
connection. No integrity check, no sync. Not for: several servers at once.
"""

import os
import subprocess
from pathlib import Path

from bench.contest import Transfer
from bench.rivals.command import find, run_measured, version_of
from bench.rivals.daemons import end_server, start_server
from bench.transfers.certificate import write_certificate
from tests.testkit.processes import LOOPBACK, free_ports

_CONFIGURATION = """
daemon off; worker_processes auto; pid {folder}/nginx.pid; error_log stderr crit; user {user};
events {{ worker_connections 1024; }}
http {{
  access_log off; sendfile on; sendfile_max_chunk 2m; tcp_nopush on; tcp_nodelay on; keepalive_timeout 65;
  client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
  uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
  server {{ listen {host}:{port} {ssl}; root {root}; {certificate} }}
}}
"""


class Web:
    """1 → 1 through a file server."""

    has_output = True

    def __init__(self, client: str, is_tls: bool) -> None:
        self._client, self._is_tls = client, is_tls
        self._server: subprocess.Popen[bytes] | None = None
        how = f"{client} -x16" if client == "aria2c" else client
        self.name = f"nginx + {how}, {'HTTPS' if is_tls else 'HTTP'}"
        self.settings = ""

    def start(self, source: Path, folder: Path) -> None:
        server, self._program = find("nginx"), find(self._client)
        client_version = " ".join(version_of(self._program, "--version").split()[:3])
        self.settings = f"{version_of(server, '-v').split(': ')[-1]}, {client_version}; no integrity check, no sync"
        port = free_ports(1)[0]
        pem = write_certificate(folder)
        tls = f"ssl_certificate {pem}; ssl_certificate_key {pem}; ssl_protocols TLSv1.3;"
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                root=source.parent,
                host=LOOPBACK,
                port=port,
                ssl="ssl" if self._is_tls else "",
                certificate=tls if self._is_tls else "",
                user="root" if os.geteuid() == 0 else "nobody",
            )
        )
        self._address = f"{'https' if self._is_tls else 'http'}://{LOOPBACK}:{port}/{source.name}"
        self._server = start_server([server, "-e", "stderr", "-p", str(folder), "-c", str(configuration)], port)
        self._size_bytes = source.stat().st_size

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        assert self._server is not None
        name = self._address.rsplit("/", 1)[1]
        if self._client == "curl":
            command = [self._program, "-s", "-f", "-k", "-o", str(target / name), self._address]
        else:
            command = [
                self._program, "-q", "-x16", "-s16", "-k1M", "--file-allocation=falloc", "--disk-cache=64M",
                "--no-conf", "--check-certificate=false", "-d", str(target), "-o", name, self._address,
            ]  # fmt: skip
        return run_measured(command, [self._server.pid], is_watched)

    def close(self) -> None:
        if self._server is not None:
            end_server(self._server)
