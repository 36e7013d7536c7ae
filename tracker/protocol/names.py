"""Which names people, groups and files may have, and which names count as the same. Pure.

A name is checked when it is chosen (by the tracker) and again before it touches a disk or a screen (by the receiver),
because a tracker may be wrong or hostile. Control characters and bidirectional overrides are refused because names are
shown on terminals; path syntax is refused because names become files. Everything else that can be seen is allowed in a
file name: quotes, spaces and every script.

An id is made of a few characters that are not mistaken for each other. Two ids that differ only in capital letters are
one id; two file names that differ only in their Unicode normal form are one name. The spelling of its maker is the one
that is shown. Accounts, groups and files from before these rules go on: `check_new_…` is for making one, the check
without "new" for naming one that may exist.

Not here: which names exist (store).
"""

import re
import unicodedata
from collections.abc import Collection, Sequence

ID_BYTES_MAX = 64
"""The upper bound of a common name in an X.509 certificate (RFC 5280, ub-common-name)."""
FILE_NAME_BYTES_MAX = 255
"""NAME_MAX of every common Linux file system."""

_NEW_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BLANK_LETTERS = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and symbols by their category that a screen shows as nothing: Hangul and Khmer fillers, the empty braille
cell."""
_IGNORED_MARKS = frozenset("\u034f\u180b\u180c\u180d\u180f")
"""Marks that only change how others are joined or drawn, beside the variation selectors."""
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))


class BadName(ValueError):
    """Says which name is not accepted, and why, as a sentence for a person."""


def check_new_id(kind: str, value: str) -> str:
    """Returns the id if a new user or group may have it; raises BadName. `kind` is the word for it in the message."""
    _check_length(kind, value, ID_BYTES_MAX)
    if not _NEW_ID.fullmatch(value):
        raise BadName(
            f"a {kind} is made of the letters a to z and A to Z, digits and . _ - and begins with a letter or a digit; "
            f"{value!a} is not"
        )
    return value


def check_id(kind: str, value: str) -> str:
    """Returns the id if a user or group may have it, perhaps from before the rule for new ones; raises BadName."""
    _check_length(kind, value, ID_BYTES_MAX)
    for character in value:
        if not (character.isalnum() or character in "-_.@+"):
            raise BadName(f"a {kind} is made of letters, digits and - _ . @ +, not {character!r}")
    if unicodedata.normalize("NFC", value) != value:
        raise BadName(f"the {kind} {value!r} is not in Unicode normal form C")
    return value


def check_new_file_name(name: str) -> str:
    """Returns the name if a file may be published under it; raises BadName."""
    check_file_name(name)
    if all(map(_shows_nothing, name)):
        raise BadName(f"the file name {name!a} shows nothing on a screen")
    return name


def check_file_name(name: str) -> str:
    """Returns the name if a file may have it on a disk and be shown with it; raises BadName."""
    _check_length("file name", name, FILE_NAME_BYTES_MAX)
    if name in (".", "..") or "/" in name:
        raise BadName(f"{name!r} is a path, not a file name")
    for character in name:
        if unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in _BIDI_CONTROLS:
            raise BadName(f"the file name {name!r} has the control character {character!r} in it")
    return name


# ---------------------------------------------------------------- which names are one


def fold_id(value: str) -> str:
    """The same for two ids that count as one: Unicode's compatibility caseless matching (D146). Of a new id it is the
    id in small letters.
    """
    if value.isascii():
        return value.lower()
    once = unicodedata.normalize("NFKD", unicodedata.normalize("NFD", value).casefold())
    return unicodedata.normalize("NFKD", once.casefold())


def normal_file_name(name: str) -> str:
    """The same for two file names that count as one: normal form C. Capital and small letters differ."""
    return unicodedata.normalize("NFC", name)


def choose_spelling(asked: str, alike: Sequence[str]) -> str | None:
    """Which of several spellings of one name is meant: the very same one, or else the only one there is."""
    if asked in alike:
        return asked
    return alike[0] if len(alike) == 1 else None


def find_id(asked: str, ids: Collection[str]) -> str | None:
    """The one of `ids` that `asked` means."""
    if asked in ids:
        return asked
    folded = fold_id(asked)
    return choose_spelling(asked, [each for each in ids if fold_id(each) == folded])


# ---------------------------------------------------------------- how ids are shown


def shown_id(value: str) -> str:
    """An id as it is shown to people. One with letters beyond ASCII, from before the rule for new ones, has their
    numbers behind it in brackets, since they may look like others. No id has a bracket in it.
    """
    return value if value.isascii() else f"{value} ({value.encode('unicode_escape').decode()})"


def is_blank_letter(character: str) -> bool:
    """Whether it is a letter or symbol that a screen shows as nothing."""
    return character in _BLANK_LETTERS


def _shows_nothing(character: str) -> bool:
    return (
        unicodedata.category(character) in ("Zs", "Cf")
        or character in _BLANK_LETTERS
        or character in _IGNORED_MARKS
        or any(ord(character) in selectors for selectors in _VARIATION_SELECTORS)
    )


def _check_length(kind: str, value: str, bytes_max: int) -> None:
    try:
        encoded_bytes = len(value.encode())
    except UnicodeEncodeError:
        raise BadName(f"the {kind} {value!r} is not valid UTF-8") from None
    if not 1 <= encoded_bytes <= bytes_max:
        raise BadName(f"a {kind} has 1 to {bytes_max} bytes, this one has {encoded_bytes}")
