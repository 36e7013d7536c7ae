"""Every decoder of bytes that somebody else wrote, as a function that may be called with any bytes at all.

A target returns where the decoder does what it promises: a message, or its documented error. Whatever else leaves it,
an assertion included, is a bug. `tests.fuzz` calls them with what atheris makes up; the default tests with the inputs
kept in corpus/, real encodings and every input that once found something.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.fuzz import file_targets, identity_targets, peer_targets, text_targets, tracker_targets

CORPUS = Path(__file__).parent / "corpus"


class Target(NamedTuple):
    check: Callable[[bytes], None]
    longest_bytes: int
    """Of an input: short ones are quick, and nearly all that can go wrong fits."""


TARGETS = {
    "wire": Target(peer_targets.wire, 1024),
    "fetcher_link": Target(peer_targets.fetcher_link, 1024),
    "server_link": Target(peer_targets.server_link, 1024),
    "tracker_request": Target(tracker_targets.tracker_request, 1024),
    "tracker_message": Target(tracker_targets.tracker_message, 1024),
    "manifest": Target(tracker_targets.manifest, 1024),
    "ticket": Target(identity_targets.ticket, 1024),
    "certificate": Target(identity_targets.certificate, 2048),
    "journal": Target(file_targets.journal, 512),
    "ledger": Target(file_targets.ledger, 1 << 16),
    "tracker_info": Target(file_targets.tracker_info, 512),
    "pin": Target(file_targets.pin, 2048),
    "shell_line": Target(text_targets.shell_line, 256),
    "names": Target(text_targets.names, 320),
}
