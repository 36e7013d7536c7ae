"""rsync from a daemon: no shell, no encryption, whole files, no compression.

`--whole-file --inplace --no-compress`, and the fastest checksum it knows (it always sums a file while it sends it).
Not for: what rsync is best at, files that are nearly there already.
"""

import os
import subprocess
from pathlib import Path

from bench.contest import Transfer
from bench.rivals.command import find, run_measured, version_of
from bench.rivals.daemons import end_server, start_server
from tests.testkit.processes import LOOPBACK, free_ports

_CONFIGURATION = """use chroot = no
pid file = {folder}/rsyncd.pid
log file = {folder}/rsyncd.log
{identity}
[bench]
path = {root}
read only = yes
"""


class Rsync:
    """1 → 1."""

    has_output = True

    def __init__(self) -> None:
        self._server: subprocess.Popen[bytes] | None = None
        self.name = "rsync daemon"
        self.settings = ""

    def start(self, source: Path, folder: Path) -> None:
        self._program = find("rsync")
        self.settings = (
            f"{' '.join(version_of(self._program, '--version').split()[:3])}; --whole-file --inplace --no-compress, "
            "no sync"
        )
        port = free_ports(1)[0]
        configuration = folder / "rsyncd.conf"
        identity = "uid = 0\ngid = 0" if os.geteuid() == 0 else ""
        configuration.write_text(_CONFIGURATION.format(folder=folder, root=source.parent, identity=identity))
        command = [self._program, "--daemon", "--no-detach", f"--address={LOOPBACK}", f"--port={port}"]
        self._server = start_server([*command, f"--config={configuration}"], port)
        self._address = f"rsync://{LOOPBACK}:{port}/bench/{source.name}"

    def fetch(self, target: Path, is_watched: bool) -> Transfer:
        assert self._server is not None
        options = ["--whole-file", "--inplace", "--no-compress"]
        return run_measured([self._program, *options, self._address, f"{target}/"], [self._server.pid], is_watched)

    def close(self) -> None:
        if self._server is not None:
            end_server(self._server)
