"""One line of input → its words, with the quoting and the `#` comments of a POSIX shell. Pure.

The standard library's shlex is not used, because it ends a word at a `#` in its middle: `upload_file take#2.wav` would
lose its tail. There are no variables, wildcards and pipes: a name is taken as it is written.

Invariant: `split_words(shlex.join(words)) == words` for any words without a NUL.
Not for: knowing what the words mean (commands).
"""

import re
from typing import NamedTuple

from engine.errors import LocalError

_BYTE_ORDER_MARK = "\ufeff"
_BLANKS = re.compile(r"[ \t\r\n]*")
_PART = re.compile(
    r"""
      '(?P<literal>[^']*)'
    | "(?P<quoted>(?:[^"\\]|\\.)*)"
    | \\(?P<escaped>.)
    | (?P<plain>[^ \t\r\n'"\\]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPE_IN_QUOTES = re.compile(r'\\([$`"\\])')


class Line(NamedTuple):
    words: list[str]
    comment: str
    """From its # on; "" if there is none."""


def split_words(line: str) -> list[str]:
    """The words of a line; raises LocalError (code "quoting") if a quote stays open."""
    return read_line(line).words


def read_line(line: str) -> Line:
    """As `split_words`, with the comment behind them."""
    if "\0" in line:
        raise LocalError(
            "the line has a NUL byte in it, so it is not UTF-8 text; save the commands as UTF-8", code="quoting"
        )
    words = []
    at = _first_word(line)
    while at < len(line) and line[at] != "#":
        word, at = _read_word(line, at)
        words.append(word)
        at = _skip_blanks(line, at)
    return Line(words, line[at:])


def is_plain_comment(comment: str) -> bool:
    """False for `#word`: its writer may have wanted a word."""
    return comment.lstrip("#")[:1].strip() == ""


def split_unfinished(text: str) -> tuple[list[str], str]:
    """The words that are finished, and the last one as it was typed so far, quotes included ("" after a blank)."""
    words: list[str] = []
    at = _first_word(text)
    while at < len(text):
        start = at
        try:
            word, at = _read_word(text, at)
        except LocalError:
            return words, text[start:]
        if at == len(text):
            return words, text[start:]
        words.append(word)
        at = _skip_blanks(text, at)
    return words, ""


def begun_word(typed: str) -> str:
    """What an unfinished word stands for so far: `"my fi` is `my fi`."""
    for closing in ("", "'", '"'):
        try:
            return _read_word(typed + closing, 0)[0]
        except LocalError:
            continue
    return typed


def _first_word(line: str) -> int:
    """Some editors put a byte order mark before the first line, and joining files leaves it before any."""
    return _skip_blanks(line, len(_BYTE_ORDER_MARK) if line.startswith(_BYTE_ORDER_MARK) else 0)


def _skip_blanks(line: str, at: int) -> int:
    blanks = _BLANKS.match(line, at)
    return blanks.end() if blanks else at


def _read_word(line: str, at: int) -> tuple[str, int]:
    parts = []
    while part := _PART.match(line, at):
        text = part[part.lastgroup or 0]
        parts.append(_ESCAPE_IN_QUOTES.sub(r"\1", text) if part.lastgroup == "quoted" else text)
        at = part.end()
    if at < len(line) and line[at] == "\\":
        raise LocalError("the line ends in a backslash that quotes nothing; take it away or double it", code="quoting")
    if at < len(line) and line[at] in "'\"":
        raise LocalError(
            f"the quote {line[at]} at column {at + 1} is never closed; close it, or write \\{line[at]} "
            "for the character itself",
            code="quoting",
        )
    return "".join(parts), at
