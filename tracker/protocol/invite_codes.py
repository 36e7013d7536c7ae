"""The code of an invitation: 16 random bytes, as the tracker stores them and as people pass them on. Pure.

Invariant: `parse_invite` reads what `invite_text` wrote, in capital or small letters.

Not here: which codes are valid (store.invites).
"""

import base64
import hashlib

from tracker.protocol.types import INVITE_CODE_BYTES


def invite_digest(code: bytes) -> bytes:
    """What an invitation is stored under. Its 16 random bytes need no salt and no slow hash."""
    return hashlib.sha256(b"shoal invite v1\0" + code).digest()


def invite_text(code: bytes) -> str:
    """The code as people pass it on: 26 letters and digits."""
    return base64.b32encode(code).decode().rstrip("=").lower()


def parse_invite(text: str) -> bytes:
    """Raises ValueError if it cannot be a code."""
    padded = text.strip().replace("-", "").upper() + "=" * 6
    code = base64.b32decode(padded.encode("ascii"))
    if len(code) != INVITE_CODE_BYTES:
        raise ValueError("an invitation has 26 letters and digits")
    return code
