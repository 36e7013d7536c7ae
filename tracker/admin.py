"""The operator's commands beside running trackers: `python -m tracker backup`, `restore`, `rotate-key`, `check-names`.

All of them but `restore` may be used while trackers run. Not here: running a tracker (__main__).
"""

import argparse
import asyncio
import os
import secrets
import time
from pathlib import Path

import platformdirs

from tracker.protocol.events import TicketKeys
from tracker.settings import TICKET_KEY_LEAD_S, TICKET_LIFE_S
from tracker.store.audit import AuditRecord, add_record
from tracker.store.keyring import load_keyring
from tracker.store.name_check import describe_names
from tracker.store.news import write_news
from tracker.store.sqlite.database_file import DATABASE_NAME, back_up, restore
from tracker.store.sqlite.open_store import open_store
from tracker.store.store import Store, StoreError
from tracker.store.ticket_keys import add_key, find_trusted_keys

COMMANDS = {
    "backup": "Copies the database, also while trackers run. The copy holds the tracker's keys: keep it safe.",
    "restore": "Puts a copy in the place of the database, which is kept beside it. No tracker may run meanwhile.",
    "rotate-key": "Replaces the key that tickets are signed with, also while trackers run; no transfer notices.",
    "check-names": "Lists accounts, groups and files from before the present rules for names that clash with others or "
    "would be refused today, also while trackers run. They go on.",
}


def add_state(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--state",
        type=path,
        default=_default_state(),
        help="folder of the database, shared by all trackers of this machine (default: %(default)s)",
    )


def path(word: str) -> Path:
    """For an option. An empty one comes from a variable that is not set, and does not mean the current folder."""
    if not word:
        raise argparse.ArgumentTypeError("it is empty; give a path")
    return Path(word)


def _default_state() -> str:
    """Empty where there is no home folder."""
    try:
        return str(platformdirs.user_state_path("shoal") / "tracker")
    except RuntimeError:
        return ""


def seconds(word: str, least: float, most: float) -> float:
    """For an option."""
    try:
        value = float(word)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds from {least:g} to {most:g}")
    return value


def run(words: list[str]) -> str:
    """Carries out one of COMMANDS, and returns what was done as a sentence. Raises StoreError."""
    command, *rest = words
    parser = argparse.ArgumentParser(prog=f"python -m tracker {command}", description=COMMANDS[command])
    add_state(parser)
    if command == "rotate-key":
        parser.add_argument(
            "--after",
            type=_lead,
            default=TICKET_KEY_LEAD_S,
            metavar="SECONDS",
            help="when the new key begins to sign; clients that no tracker reaches before then refuse its tickets "
            "until one does (default: %(default)g)",
        )
    elif command != "check-names":
        parser.add_argument("file", type=path, help="the copy")
    arguments = parser.parse_args(rest)
    state_dir: Path = arguments.state
    database = state_dir / DATABASE_NAME
    if command == "backup":
        return f"copied {database} to {arguments.file}: {back_up(state_dir, arguments.file)}"
    if command == "restore":
        return f"restored {database} from {arguments.file}: {restore(arguments.file, state_dir)}"
    if not database.exists():
        raise StoreError(f"there is no database {database}; give its folder with --state")
    if command == "check-names":
        return asyncio.run(_check_names(state_dir))
    return asyncio.run(_rotate_key(state_dir, arguments.after))


async def rotate_key(store: Store, lead_s: float, now_s: float) -> str:
    """Makes a key that signs after `lead_s`; returns its id. Every tracker tells its clients of it within a second."""
    async with store.changing() as db:
        kid = await add_key(db, now_s + lead_s, now_s)
        told = TicketKeys(await find_trusted_keys(db, now_s))
        await add_record(db, AuditRecord(now_s, "", "", "ticket_key_added", subject=kid))
        await write_news(db, secrets.token_bytes(8), [], told, now_s)
    return kid


async def _rotate_key(state_dir: Path, lead_s: float) -> str:
    os.umask(0o077)
    now_s = time.time()
    store = await open_store(state_dir)
    try:
        await load_keyring(store, now_s)
        kid = await rotate_key(store, lead_s, now_s)
    finally:
        await store.close()
    begin, end = (time.strftime("%H:%M:%S", time.localtime(now_s + s)) for s in (lead_s, lead_s + TICKET_LIFE_S))
    return f"made the ticket key {kid}: it signs from {begin} on, the one before it is believed until {end}"


async def _check_names(state_dir: Path) -> str:
    os.umask(0o077)
    store = await open_store(state_dir)
    try:
        async with store.reading() as db:
            return await describe_names(db)
    finally:
        await store.close()


def _lead(word: str) -> float:
    return seconds(word, 1, 86400)
