"""The code of an invitation: 16 random bytes, as they are stored and as people hand them on. Pure.

Invariant: what was written down by `invite_text` is read back by `parse_invite`, whatever its letters' case.

Not here: which codes are valid (invites).
"""

import base64
import hashlib

from tracker.protocol.types import INVITE_CODE_BYTES


def invite_digest(code: bytes) -> bytes:
    """Under what an invitation is stored: its 16 random bytes need no salt and no slow hash."""
    return hashlib.sha256(b"shoal invite v1\0" + code).digest()


def invite_text(code: bytes) -> str:
    """As people hand it on: 26 letters and digits."""
    return base64.b32encode(code).decode().rstrip("=").lower()


def parse_invite(text: str) -> bytes:
    """Raises ValueError if it cannot be a code."""
    padded = text.strip().replace("-", "").upper() + "=" * 6
    code = base64.b32decode(padded.encode("ascii"))
    if len(code) != INVITE_CODE_BYTES:
        raise ValueError("an invitation has 26 letters and digits")
    return code
