"""Names and messages made fit for a terminal, and columns of them. Pure.

A file name comes from another person, and a terminal obeys what it is sent. An escape sequence in a name could rewrite
the screen, a bidirectional override could hide the real ending of a name, a letter of another script could look like a
Latin one, and a filler is not seen at all.

Invariant: text that passed `printable` has no line end and no character that a terminal acts on.
Not for: JSON, which has its own escapes (output).
"""

import shlex
import unicodedata
from collections import Counter
from collections.abc import Sequence

from engine.client.spellings import is_blank_letter, normal_file_name, shown_id
from engine.errors import LocalError
from engine.shell.lines import split_words


def printable(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if _is_seen(c) else c.encode("unicode_escape").decode() for c in text)


def quoted(word: str) -> str:
    """The word as it has to be typed to mean itself."""
    try:
        needs_no_quotes = split_words(word) == [word]
    except LocalError:
        needs_no_quotes = False
    return word if needs_no_quotes else shlex.quote(word)


def name(text: str) -> str:
    """A name as it is shown: quoted where it would have to be typed so, and printable."""
    return printable(quoted(text))


def file_names(texts: Sequence[str]) -> list[str]:
    """The names of one list as they are shown: as `name`. Those that differ only in their Unicode form, from before the
    rule against that, have the numbers of their letters behind them in brackets, outside of any quotes.
    """
    spellings = Counter(map(normal_file_name, set(texts)))
    return [f"{name(text)}{_numbers_of(text) if spellings[normal_file_name(text)] > 1 else ''}" for text in texts]


def identifier(text: str) -> str:
    """The id of an account or a group as it is shown: as `name`, and one that may look like another is marked."""
    return printable(shown_id(quoted(text)))


def width(text: str) -> int:
    """Columns on a terminal: East Asian wide characters take two, combining marks none."""
    return sum(_cells(character) for character in text)


def clipped(text: str, columns: int) -> str:
    used = 0
    for at, character in enumerate(text):
        used += _cells(character)
        if used > columns:
            return text[:at]
    return text


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows with their columns aligned at the left; the last column is not padded."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell + " " * (columns - width(cell)) for cell, columns in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _numbers_of(text: str) -> str:
    return f" ({text.encode('unicode_escape').decode()})"


def _is_seen(character: str) -> bool:
    return character.isprintable() and not is_blank_letter(character)


def _cells(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
