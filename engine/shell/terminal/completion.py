"""What the word being typed could become: commands, groups, files, users who ask to join, paths.

The client is asked for names when Tab is pressed, so an idle prompt makes no traffic. An answer is used for a few
seconds; an answer that comes late is used at the next press of the key.

Invariant: completing never fails and never waits long, whatever the trackers do. Each offer can be typed as it is
shown.
Not for: showing the offers (name_completer).
"""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, NamedTuple

from engine.errors import ShoalError
from engine.shell.answers.safe_text import printable, quoted
from engine.shell.commands import COMMANDS
from engine.shell.lines import begun_word, split_unfinished

if TYPE_CHECKING:
    from engine.client.client import Client

_FRESH_S = 5.0
_PATIENCE_S = 0.3


class Offer(NamedTuple):
    """`text` replaces the last `replaced` characters before the cursor."""

    text: str
    replaced: int


class KnownNames:
    """The client's names, remembered for a while."""

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._names: dict[tuple[str, ...], list[str]] = {}
        self._asked_s: dict[tuple[str, ...], float] = {}
        self._asking: dict[tuple[str, ...], asyncio.Task[None]] = {}

    async def groups(self) -> list[str]:
        async def ask() -> list[str]:
            return [entry.group_id for entry in await self._client.list_groups()]

        return await self._recent(("groups",), ask)

    async def files(self, group_id: str) -> list[str]:
        async def ask() -> list[str]:
            return [entry.name for entry in (await self._client.list_files(group_id)).files]

        return await self._recent(("files", group_id), ask)

    def shares(self, group_id: str) -> list[str]:
        """What this client shares there; it knows that itself."""
        if self._client.user_id is None:
            return []
        return [share.name for share in self._client.show_shares() if share.group_id == group_id]

    async def requests(self, group_id: str) -> list[str]:
        async def ask() -> list[str]:
            return (await self._client.list_requests(group_id)).user_ids

        return await self._recent(("requests", group_id), ask)

    def close(self) -> None:
        for asking in self._asking.values():
            asking.cancel()

    async def _recent(self, key: tuple[str, ...], ask: Callable[[], Awaitable[list[str]]]) -> list[str]:
        if self._client.user_id is None:
            return []
        is_stale = time.monotonic() - self._asked_s.get(key, -_FRESH_S) >= _FRESH_S
        if is_stale and key not in self._asking:
            self._asking[key] = asyncio.create_task(self._refresh(key, ask))
        if key in self._asking:
            await asyncio.wait({self._asking[key]}, timeout=_PATIENCE_S)
        return self._names.get(key, [])

    async def _refresh(self, key: tuple[str, ...], ask: Callable[[], Awaitable[list[str]]]) -> None:
        try:
            self._names[key] = await ask()
        except ShoalError:
            pass  # what was known before is offered; the command itself will say what is wrong
        finally:
            self._asked_s[key] = time.monotonic()
            del self._asking[key]


async def offers(text: str, names: KnownNames | None) -> list[Offer]:
    """`text`: the line before the cursor. `names`: None before the client has started."""
    words, typed = split_unfinished(text)
    begun = begun_word(typed)
    candidates = await _candidates(words, begun, names)
    # A name with a character in it that is not seen cannot be typed, so it is not offered either.
    return [
        Offer(quoted(candidate), len(typed))
        for candidate in sorted(candidates)
        if candidate.startswith(begun) and printable(candidate) == candidate
    ]


async def _candidates(words: list[str], begun: str, names: KnownNames | None) -> Iterable[str]:
    if words[:1] == ["requests"]:
        if len(words) == 1:
            return ["list_requests"]
        words = words[1:]
    if not words:
        return COMMANDS
    command = COMMANDS.get(words[0])
    if command is None or len(words) > command.most_words:
        return []
    parameter = command.parameters[len(words) - 1].strip("<>[]")
    if parameter == "command":
        return COMMANDS
    if parameter in ("file_path", "destination_path"):
        return _paths(begun)
    return await _names_for(parameter, words, names) if names else []


async def _names_for(parameter: str, words: list[str], names: KnownNames) -> list[str]:
    if parameter == "group_id":
        return await names.groups()
    if words[0] == "stop_share" and parameter == "file_name":
        return names.shares(words[1])
    if parameter == "file_name":
        return await names.files(words[1])
    if parameter == "user_id" and words[0] in ("accept_request", "reject_request"):
        return await names.requests(words[1])
    return []


def _paths(begun: str) -> list[str]:
    folder, begun_name = os.path.split(begun)
    typed_folder = begun[: len(begun) - len(begun_name)]
    try:
        with os.scandir(os.path.expanduser(folder) or ".") as entries:
            return [
                f"{typed_folder}{entry.name}{'/' if entry.is_dir() else ''}"
                for entry in entries
                if begun_name.startswith(".") or not entry.name.startswith(".")
            ]
    except OSError:
        return []
