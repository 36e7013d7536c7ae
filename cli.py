"""The command `shoal`: checks how it was called, then hands over to the shell.

Its exit code: 0 well, 1 if the client did not start, a command failed or its output could not be written, 2 if it was
called in a wrong way, 141 if the reader of its output has gone.

Invariant: importing this file imports next to nothing. Worker processes import the main file again when they start,
and `--help` should be quick; so everything else is imported by the function that needs it.
Not for: anything after the arguments (engine.shell.app).
"""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tracker.standard_streams import StandardStreams


def main() -> int:
    from tracker.standard_streams import run_with_streams

    return run_with_streams(_run)


def _run(streams: "StandardStreams") -> int:
    import argparse
    from ipaddress import ip_address
    from pathlib import Path

    from tracker.version import VERSION

    def address(text: str) -> tuple[str, int]:
        host, _, port = text.rpartition(":")
        try:
            host = str(ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host))
        except ValueError:
            host = ""
        if not host or not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
            raise argparse.ArgumentTypeError(
                f"{text!r} is not an address to serve on; write IP:PORT, as in 127.0.0.1:7001 or [::1]:7001, "
                "with a port from 1 to 65535"
            )
        return host, int(port)

    def path(text: str) -> Path:
        if not text:
            raise argparse.ArgumentTypeError("it is empty; give a path")
        return Path(text)

    parser = argparse.ArgumentParser(
        prog="shoal",
        description="Moves large files inside a group of people, in pieces, from every member who has them. On a "
        "terminal it asks for commands; from a pipe it reads one command a line.",
        epilog="Inside, help lists the commands. In a script: shoal IP:PORT tracker_info.txt < commands.txt ",
    )
    parser.add_argument(
        "address", type=address, metavar="IP:PORT", help="where this client serves others; [IP]:PORT for IPv6"
    )
    parser.add_argument(
        "tracker_info", type=path, metavar="tracker_info.txt", help="the trackers, one a line: ip port [fingerprint]"
    )
    parser.add_argument(
        "--state",
        type=path,
        metavar="DIR",
        help="where keys, shares and history are kept (default: under your state folder, by IP:PORT)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line on stdout, for programs")
    parser.add_argument("--version", action="version", version=f"shoal {VERSION}", help="print it and end")
    arguments = parser.parse_args()

    from engine.shell.app import Options, run

    host, port = arguments.address
    return run(Options(host, port, arguments.tracker_info, arguments.state, arguments.json), streams)


if __name__ == "__main__":
    sys.exit(main())
