"""What people type, and the names that others chose."""

import os
import shlex
from contextlib import suppress
from pathlib import Path

from engine.errors import LocalError
from engine.shell import commands
from engine.shell.answers.safe_text import identifier, name, printable
from engine.shell.lines import begun_word, split_unfinished, split_words
from engine.shell.terminal.history import without_passwords
from engine.storage.file_names import journal_path, part_path
from tracker.protocol.invite_codes import invite_text, parse_invite
from tracker.protocol.names import (
    BadName,
    check_file_name,
    check_id,
    check_new_file_name,
    check_new_id,
    fold_id,
    is_blank_letter,
    normal_file_name,
)
from tracker.service.passwords import prepare


def shell_line(data: bytes) -> None:
    line = os.fsdecode(data)
    finished, typed = split_unfinished(line)
    begun_word(typed)
    without_passwords(line)
    try:
        words = split_words(line)
    except LocalError:
        return
    assert split_words(shlex.join(words)) == words
    if not line.count("#"):
        assert [*finished, *([begun_word(typed)] if typed else [])] == words
    if words:
        with suppress(LocalError):
            commands.parse(words)


def names(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    assert printable(name(text)).isprintable()
    with suppress(ValueError):
        assert parse_invite(invite_text(parse_invite(text))) == parse_invite(text)
    with suppress(BadName):
        assert name(check_id("user id", text)) == text or any(map(is_blank_letter, text))
    with suppress(BadName):
        assert identifier(check_new_id("user id", text)) == check_id("user id", text) == check_new_file_name(text)
    assert identifier(text).isprintable()
    assert fold_id(fold_id(text)) == fold_id(text)
    assert normal_file_name(normal_file_name(text)) == normal_file_name(text)
    assert prepare(prepare(text)) == prepare(text)
    with suppress(BadName):
        part = part_path(Path("/data") / check_file_name(text), bytes(32))
        assert part.parent == Path("/data")
        assert len(os.fsencode(journal_path(part).name)) <= 255
