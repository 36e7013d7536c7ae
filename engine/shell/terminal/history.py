"""Which part of a typed line may be remembered. Pure.

A password may be typed behind `login`, and it may be typed behind a misspelt `lgoin`. So a line is remembered only if
its command is known, and the commands that take a password only up to that.

Invariant: no word that could be a password is ever returned.
Not for: where the history is kept (prompt).
"""

import shlex

from engine.errors import LocalError
from engine.shell.commands import WORDS_BEFORE_PASSWORD, find_command
from engine.shell.lines import split_words

_PREFIX = "requests"


def without_passwords(text: str) -> str:
    """The part of what was typed (several lines if pasted) that may be kept; "" for nothing."""
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
