"""Why a link could not be made, or ended: one word for programs beside the sentence for people. Pure.

Invariant: the word is one of `errors.Cause`, whatever the other side said.
Not for: why a peer that was reached refuses a file; the refusal has a code of its own.
"""

import errno
import ssl

from engine.errors import Cause

_NO_ROUTE = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL})
_NOT_VALID_NOW = frozenset({9, 10})
"""X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED."""
_THEY_SAY_EXPIRED = "SSLV3_ALERT_CERTIFICATE_EXPIRED"


class NoLink(Exception):
    """A link could not be made; `str()` says what happened."""

    def __init__(self, cause: Cause, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


def cause_of(error: BaseException, *, is_connected: bool) -> Cause:
    """The word for what a socket raised. `is_connected`: the peer had accepted the connection before that."""
    match error:
        case ConnectionRefusedError():
            return "refused"
        case TimeoutError():
            return "no_answer" if is_connected else "timed_out"
        case ssl.SSLCertVerificationError():
            return "wrong_clock" if error.verify_code in _NOT_VALID_NOW else "tls_failed"
        case ssl.SSLEOFError() | ssl.SSLZeroReturnError() | ConnectionError():
            return "hung_up"
        case ssl.SSLError():
            return "wrong_clock" if getattr(error, "reason", "") == _THEY_SAY_EXPIRED else "tls_failed"
        case OSError() if error.errno in _NO_ROUTE:
            return "no_route"
    return "hung_up" if is_connected else "failed_here"
