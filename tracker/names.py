"""Which names people, groups and files may have. Pure.

Checked when a name is chosen (by the tracker) and again where it would touch a disk or a screen (by the receiver),
because a tracker may be wrong or worse. Control characters and bidirectional overrides are refused since names are
shown on terminals; path syntax is refused since names become files. Everything else, quotes and spaces and any
script included, is fine in a file name.
"""

import unicodedata

ID_BYTES_MAX = 64
"""The upper bound of a common name in an X.509 certificate (RFC 5280, ub-common-name)."""
FILE_NAME_BYTES_MAX = 255
"""NAME_MAX of every common Linux file system."""

_BIDI_CONTROLS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class BadName(ValueError):
    """Says which name is not accepted and why, as a sentence for a person."""


def check_id(kind: str, value: str) -> str:
    """The id itself if a user or group may be called that; raises BadName. `kind` is the word for the message."""
    encoded_bytes = _encoded_length(kind, value)
    if not 1 <= encoded_bytes <= ID_BYTES_MAX:
        raise BadName(f"a {kind} has 1 to {ID_BYTES_MAX} bytes, this one has {encoded_bytes}")
    for character in value:
        if not (character.isalnum() or character in "-_.@+"):
            raise BadName(f"a {kind} is made of letters, digits and - _ . @ +, not {character!r}")
    if unicodedata.normalize("NFC", value) != value:
        raise BadName(f"the {kind} {value!r} is not in Unicode normal form C")
    return value


def check_file_name(name: str) -> str:
    """The name itself if a file may be called that in a group and on a disk; raises BadName."""
    encoded_bytes = _encoded_length("file name", name)
    if not 1 <= encoded_bytes <= FILE_NAME_BYTES_MAX:
        raise BadName(f"a file name has 1 to {FILE_NAME_BYTES_MAX} bytes, this one has {encoded_bytes}")
    if name in (".", "..") or "/" in name:
        raise BadName(f"{name!r} is a path, not a file name")
    for character in name:
        if unicodedata.category(character) in ("Cc", "Zl", "Zp") or character in _BIDI_CONTROLS:
            raise BadName(f"the file name {name!r} has the control character {character!r} in it")
    return name


def _encoded_length(kind: str, value: str) -> int:
    try:
        return len(value.encode())
    except UnicodeEncodeError:
        raise BadName(f"the {kind} {value!r} is not valid UTF-8") from None
