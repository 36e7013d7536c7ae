"""`python -m tracker tracker_info.txt N`: runs tracker N, which listens where line N of the file says.

It prints one line when it is ready, and runs until SIGINT or SIGTERM. Exit codes: 0 ended as asked, 1 could not run or
could not write its line, 2 wrong usage, 141 if nobody reads that line.

Not here: the operator's other commands, such as `python -m tracker backup` (admin).
"""

import argparse
import asyncio
import logging
import logging.handlers
import os
import random
import resource
import secrets
import signal
import sys
import time
from pathlib import Path

from tracker import admin
from tracker.protocol.addresses import (
    INFO_BYTES_MAX,
    BadTrackerInfo,
    TrackerAddress,
    fingerprint_of,
    parse_tracker_info,
)
from tracker.protocol.invite_codes import invite_digest, invite_text
from tracker.server.server import TrackerServer
from tracker.service.dispatch import Service
from tracker.service.passwords import Passwords
from tracker.settings import FIRST_INVITE_LIFE_S, TICKET_LIFE_S, Policy
from tracker.standard_streams import StandardStreams, run_with_streams
from tracker.store import accounts
from tracker.store.invites import add_invite
from tracker.store.keyring import load_keyring
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store, StoreError
from tracker.version import VERSION


class CannotStart(Exception):
    """Says why this tracker cannot run, as a sentence for the person who started it."""


def main() -> int:
    """Returns the exit code."""
    return run_with_streams(_main)


def _main(streams: StandardStreams) -> int:
    try:
        if sys.argv[1:2] and sys.argv[1] in admin.COMMANDS:
            print(admin.run(sys.argv[1:]))
            return 0
        arguments = _parse_arguments()
        address = _read_address(arguments.tracker_info, arguments.tracker_no)
        policy = Policy(arguments.registration, arguments.ticket_life)
        asyncio.run(_run(arguments.tracker_no, address, arguments.state, policy, streams))
    except (CannotStart, StoreError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass  # Interrupted before the loop took the signal over: still as asked.
    return 0


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tracker", description="Runs one tracker.")
    parser.add_argument(
        "tracker_info", type=admin.path, help="file with one tracker a line: ip port [sha256:fingerprint]"
    )
    parser.add_argument("tracker_no", type=_positive, help="which of them this is, counted from 1")
    admin.add_state(parser)
    parser.add_argument(
        "--ticket-life",
        type=_ticket_life,
        default=TICKET_LIFE_S,
        metavar="SECONDS",
        help="how long a peer may go on serving somebody who was put out, if no tracker can tell it "
        "(default and most: %(default)g)",
    )
    parser.add_argument(
        "--registration",
        choices=("open", "invite"),
        default="open",
        help="who may make an account: everybody, or who was invited; the first invitation is printed "
        "(default: %(default)s)",
    )
    parser.add_argument("--version", action="version", version=f"shoal tracker {VERSION}", help="print it and end")
    parser.epilog = f"{', '.join(admin.COMMANDS)}: in place of the file, something else to do; each takes --help"
    return parser.parse_args()


def _positive(word: str) -> int:
    if not (word.isascii() and word.isdigit() and len(word) <= 9 and int(word)):
        raise argparse.ArgumentTypeError(f"{word!r} is not the number of a tracker: 1 for the first of the file")
    return int(word)


def _ticket_life(word: str) -> float:
    return admin.seconds(word, 1, TICKET_LIFE_S)


def _read_address(path: Path, tracker_no: int) -> TrackerAddress:
    try:
        with path.open("rb") as file:
            addresses = parse_tracker_info(file.read(INFO_BYTES_MAX + 1))
    except OSError as error:
        raise CannotStart(f"cannot read {path}: {error.strerror}; it lists the trackers") from error
    except BadTrackerInfo as error:
        raise CannotStart(f"{path}: {error}") from error
    if tracker_no > len(addresses):
        count = f"{len(addresses)} trackers" if len(addresses) > 1 else "one tracker"
        raise CannotStart(f"{path} has {count}, there is no tracker {tracker_no}")
    return addresses[tracker_no - 1]


def _raise_descriptor_limit() -> None:
    """As far as the system allows: every connection takes a descriptor."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _run(
    tracker_no: int, address: TrackerAddress, state_dir: Path, policy: Policy, streams: StandardStreams
) -> None:
    stop = asyncio.Event()
    streams.on_unwritable(stop.set)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _raise_descriptor_limit()
    os.umask(0o077)  # all it ever writes is its state: keys, hashes, and a log of who came from where
    store = await open_store(state_dir)
    try:
        _log_to(state_dir / "tracker.log")
        await _serve(tracker_no, address, store, policy, stop)
    finally:
        await store.close()


async def _serve(tracker_no: int, address: TrackerAddress, store: Store, policy: Policy, stop: asyncio.Event) -> None:
    authority = await load_keyring(store, time.time())
    fingerprint = fingerprint_of(authority.pem)
    if address.fingerprint not in (None, fingerprint):
        raise CannotStart(
            f"tracker {tracker_no} is to be {address.fingerprint}, but the database here is {fingerprint}; "
            "correct the file, or give the right folder with --state"
        )
    service = Service(store, authority, Passwords(), time.time, random.Random(), policy)
    server = TrackerServer(service, authority, time.time())
    try:
        await server.start(address.host, address.port)
    except OSError as error:
        # asyncio wraps the system's words in its own; a name that does not resolve has a negative number.
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror
        raise CannotStart(f"cannot listen on {address}: {reason}") from error
    print(f"tracker {tracker_no} listening on {address}, fingerprint {fingerprint}", flush=True)
    if policy.registration == "invite":
        await _invite_first(store)
    await stop.wait()
    await server.close()


async def _invite_first(store: Store) -> None:
    """Prints an invitation if there is no account yet; without it nobody could make one."""
    code = secrets.token_bytes(16)
    async with store.changing() as db:
        if await accounts.has_accounts(db):
            return
        await add_invite(db, invite_digest(code), "", time.time() + FIRST_INVITE_LIFE_S)
    print(f"invitation for the first account, used once within a day: {invite_text(code)}", flush=True)


def _log_to(path: Path) -> None:
    """Logs what an operator may need to know and a user must not see. A full disk ends the log, not the tracker."""
    logging.raiseExceptions = False
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=1 << 20, backupCount=2, delay=True)
    logging.basicConfig(
        level=logging.INFO, handlers=[handler], format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )


if __name__ == "__main__":
    sys.exit(main())
