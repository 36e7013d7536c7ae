"""Requests to a rival's own HTTP interface on loopback, and waiting until the rival has done something.

Not for: proxies, other machines, or large answers.
"""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

_REQUEST_S = 30.0
_LOOK_EVERY_S = 0.01
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(
    address: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, method: str | None = None
) -> bytes:
    """The answer's body; with a body of ours it is a POST. Raises RuntimeError with the refusal in words."""
    request = urllib.request.Request(address, body, dict(headers or {}), method=method)
    try:
        with _DIRECT.open(request, timeout=_REQUEST_S) as answer:
            received: bytes = answer.read()
            return received
    except urllib.error.HTTPError as error:
        with error:
            raise RuntimeError(f"{address}: {error} {error.read()[:200]!r}") from error


def ask_json(address: str, headers: Mapping[str, str] | None = None) -> Any:
    """The same for an answer in JSON."""
    return json.loads(ask(address, headers=headers))


def wait_until(is_true: Callable[[], bool], what: str, timeout_s: float = 300.0) -> None:
    """Looks every 10 ms. Raises TimeoutError."""
    deadline_s = time.monotonic() + timeout_s
    while not is_true():
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"waited {timeout_s:.0f} s for {what}")
        time.sleep(_LOOK_EVERY_S)
