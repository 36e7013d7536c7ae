"""Which part of a typed line may be kept in the history. Pure.

A password may follow `login`, and it may follow a misspelt `lgoin`. So a line is kept only if its command is known, and
of commands that take a password only the words before it.

Invariant: no word that could be a password is ever returned.
Not for: where the history is kept (history_file).
"""

import shlex

from engine.errors import LocalError
from engine.shell.commands import WORDS_BEFORE_PASSWORD, find_command
from engine.shell.lines import split_words

_PREFIX = "requests"


def without_passwords(text: str) -> str:
    """The part of the typed text (several lines if it was pasted) that may be kept; may be ""."""
    return "\n".join(filter(None, map(_kept, text.split("\n"))))


def _kept(line: str) -> str:
    try:
        words = split_words(line)
        if not words:
            return ""
        if words[0] == _PREFIX:
            return line
        name = find_command(words[0]).name
    except LocalError:
        return ""
    return shlex.join(words[: WORDS_BEFORE_PASSWORD[name]]) if name in WORDS_BEFORE_PASSWORD else line
