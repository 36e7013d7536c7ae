"""The whole shell as a process of its own, with the fake client: run by test_app and test_prompt."""

import os
import sys
from pathlib import Path
from typing import cast

from engine.client.client import Client
from engine.errors import LocalError
from engine.shell.app import Options, run
from tests.engine.shell.conftest import FakeClient
from tracker.standard_streams import run_with_streams


async def start(options: Options) -> Client:
    if options.port == 1:
        raise LocalError("port 1 is taken by another program; choose another", "port_taken")
    assert options.state_folder is not None
    client = FakeClient(options.state_folder)
    client.passwords["alice"] = "s3cret"
    return cast(Client, client)


if __name__ == "__main__":
    port, state_folder, *flags = sys.argv[1:]
    options = Options("127.0.0.1", int(port), Path(os.devnull), Path(state_folder), "--json" in flags)
    sys.exit(run_with_streams(lambda streams: run(options, streams, start)))
