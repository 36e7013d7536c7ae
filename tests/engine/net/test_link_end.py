"""What a failure of a socket is called."""

import errno
import ssl

import pytest

from engine.errors import Cause
from engine.net.link_end import cause_of


def expired() -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError("certificate has expired")
    error.verify_code = 10
    return error


@pytest.mark.parametrize(
    ("error", "is_connected", "cause"),
    [
        (ConnectionRefusedError(), False, "refused"),
        (TimeoutError(), False, "timed_out"),
        (TimeoutError(), True, "no_answer"),
        (OSError(errno.EHOSTUNREACH, ""), False, "no_route"),
        (OSError(errno.ENETUNREACH, ""), False, "no_route"),
        (OSError(errno.EMFILE, ""), False, "failed_here"),
        (ConnectionResetError(), True, "hung_up"),
        (ssl.SSLEOFError(), True, "hung_up"),
        (ssl.SSLError(1, "unknown ca"), True, "tls_failed"),
        (expired(), True, "wrong_clock"),
    ],
)
def test_every_failure_has_its_word(error: Exception, is_connected: bool, cause: Cause) -> None:
    assert cause_of(error, is_connected=is_connected) == cause
