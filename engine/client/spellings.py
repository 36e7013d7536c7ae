"""Which spellings stand for the same group or file, and how ids are shown. Pure.

A group's id may be typed in any capital letters and a file's name in any Unicode normal form. The client keeps both as
their makers spelled them, because peers compare ids in tickets letter by letter.
"""

from collections.abc import Iterable

from tracker.protocol.names import fold_id
from tracker.protocol.names import is_blank_letter as is_blank_letter
from tracker.protocol.names import normal_file_name as normal_file_name
from tracker.protocol.names import shown_id as shown_id

Key = tuple[str, str]
"""(group, file name)"""


def find_key(asked: Key, keys: Iterable[Key]) -> Key:
    """The one of `keys` that `asked` stands for: the same, or the only one alike. `asked` itself if there is none."""
    known = set(keys)
    if asked in known:
        return asked
    alike = [key for key in known if _fold(key) == _fold(asked)]
    return alike[0] if len(alike) == 1 else asked


def spelling(typed: str, said: str) -> str:
    """The id as its maker spelled it, which is what the tracker said, unless that is another id than the typed one."""
    return said if fold_id(said) == fold_id(typed) else typed


def is_same_group(one: str, other: str) -> bool:
    return fold_id(one) == fold_id(other)


def is_same_name(one: str, other: str) -> bool:
    return normal_file_name(one) == normal_file_name(other)


def _fold(key: Key) -> Key:
    return fold_id(key[0]), normal_file_name(key[1])
