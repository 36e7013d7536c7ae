"""What the client checks of its arguments before it asks anything of anyone. Pure.

Invariant: each function returns a value that a request may carry, or raises LocalError with a sentence that names what
is wrong.
Not for: paths (uploads, storage.file_names), and what only a tracker can judge.
"""

from engine.errors import LocalError
from tracker.protocol import invite_codes
from tracker.protocol.names import BadName, check_file_name, check_id, check_new_id

PASSWORD_LENGTH_MAX = 1024


def user_id(value: str) -> str:
    return _id("user id", value)


def group_id(value: str) -> str:
    return _id("group id", value)


def new_id(kind: str, value: str) -> str:
    try:
        return check_new_id(kind, value)
    except BadName as error:
        raise LocalError(str(error), "bad_name") from error


def _id(kind: str, value: str) -> str:
    try:
        return check_id(kind, value)
    except BadName as error:
        raise LocalError(str(error), "bad_name") from error


def file_name(value: str) -> str:
    try:
        return check_file_name(value)
    except BadName as error:
        raise LocalError(str(error), "bad_name") from error


def password(value: str) -> str:
    if not 1 <= len(value) <= PASSWORD_LENGTH_MAX:
        raise LocalError(f"a password has 1 to {PASSWORD_LENGTH_MAX} characters", "bad_password")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise LocalError("the password is not UTF-8 text; write it in UTF-8", "bad_password") from None
    return value


def invite(value: str) -> bytes:
    try:
        return invite_codes.parse_invite(value) if value else b""
    except ValueError as error:
        raise LocalError("an invitation has 26 letters and digits; this is none", "bad_invite") from error
