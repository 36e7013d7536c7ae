"""docs/limits.md says of every limit where it is set, what it is and what happens beyond it; none is missing there."""

import importlib
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from engine.settings import Settings
from tracker.rules.throttle import Rule

REPOSITORY = Path(__file__).parent.parent
ROW = re.compile(r"^\| [^|]+ \| `([\w/]+)\.(\w+)` \| ([^|]+) \| [^|]+ \|$", re.MULTILINE)
ROWS: list[tuple[str, str, str]] = ROW.findall((REPOSITORY / "docs/limits.md").read_text())
"""File, name, value."""

FACING_A_NETWORK = [
    "tracker/settings", "tracker/protocol/framing", "tracker/protocol/types", "tracker/protocol/tickets",
    "tracker/protocol/names", "tracker/rules/throttle", "engine/settings", "engine/wire/messages",
    "engine/wire/codec", "engine/net/serve_link", "engine/coordinator/mismatch_checks",
    "engine/coordinator/download/peer_exchange", "engine/coordinator/download/peer_book",
]  # fmt: skip
IS_LIMIT = re.compile(r"(^|_)(max|per|once|queued|idle|life|ttl|timeout)(_|$)|^serve_links$")
OF_THE_CLIENTS_OWN_WAYS = {
    # How long it waits and how much it asks for by itself: nobody else can make it spend more.
    ("tracker/settings", "RECONNECT_DELAY_MAX_S"), ("tracker/settings", "CALL_TIMEOUT_S"),
    ("tracker/settings", "CONNECT_TIMEOUT_S"), ("engine/settings", "links_per_download"),
    ("engine/settings", "candidates_per_request"), ("engine/settings", "worker_beats_missed_max"),
    ("engine/settings", "idle_link_s"), ("engine/settings", "dial_timeout_s"),
    ("engine/settings", "redial_delay_max_s"), ("engine/wire/messages", "U32_MAX"),
}  # fmt: skip


def constants_of(place: str) -> dict[str, object]:
    """What is set in this file, by name."""
    if place == "engine/settings":
        return {each.name: each.default for each in fields(Settings)}
    module = importlib.import_module(place.replace("/", "."))
    names = re.findall(r"^([A-Z]\w+)\b[^=\n]*= ", (REPOSITORY / f"{place}.py").read_text(), re.MULTILINE)
    return {name: getattr(module, name) for name in names}


def all_limits() -> Iterator[tuple[str, str]]:
    for place in FACING_A_NETWORK:
        for name, value in constants_of(place).items():
            if isinstance(value, Rule) or (isinstance(value, int | float) and IS_LIMIT.search(name.lower())):
                yield place, name


def written(name: str, value: object) -> str:
    """As the table has it."""
    if isinstance(value, Rule):
        return f"{value.free} free, then up to {value.longest_s:g} s"
    assert isinstance(value, int | float)
    number, name = f"{value:,.10g}".replace(",", " "), name.upper()
    if "BYTES" in name:
        units = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
        return next((f"{int(value) // size} {unit}" for size, unit in units if not value % size), f"{number} bytes")
    if name.endswith("_S"):
        return f"{number} s"
    return f"{number} / s" if "_PER_S_" in name else number


@pytest.mark.parametrize(("place", "name", "value"), ROWS)
def test_the_table_says_what_the_code_says(place: str, name: str, value: str) -> None:
    assert value == written(name, constants_of(place)[name])


def test_every_limit_is_in_the_table_once() -> None:
    named = [(place, name) for place, name, _ in ROWS]
    assert sorted(named) == sorted(set(all_limits()) - OF_THE_CLIENTS_OWN_WAYS)


def test_what_is_left_out_is_there_to_be_left_out() -> None:
    assert set(all_limits()) >= OF_THE_CLIENTS_OWN_WAYS
