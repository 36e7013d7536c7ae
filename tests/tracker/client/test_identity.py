from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tracker.client.identity import HeldIdentity, Identity
from tracker.protocol.results import LoggedIn
from tracker.protocol.types import TrustedKey

KEYS = {"one": TrustedKey(bytes(32))}
MORE_KEYS = KEYS | {"two": TrustedKey(bytes([2]) * 32)}
KEY, ANOTHER_KEY = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def answer(certificate: bytes, keys: dict[str, TrustedKey] | None = None) -> LoggedIn:
    return LoggedIn("ann", certificate, 100.0, KEYS if keys is None else keys)


class Holder:
    """An identity that was logged in to, and what its owner is told."""

    def __init__(self) -> None:
        self.told: list[tuple[Identity | None, str]] = []
        self.held = HeldIdentity(lambda identity, reason: self.told.append((identity, reason)))
        self.held.begin(KEY, answer(b"first"))
        assert self.held.current is not None
        self.first = self.held.current


@pytest.fixture
def holder() -> Holder:
    return Holder()


def test_a_renewal_keeps_the_key_and_is_told(holder: Holder) -> None:
    holder.held.renew(holder.first, answer(b"second"))
    current: Any = holder.held.current
    assert (current.certificate_pem, current.private_key) == (b"second", KEY)
    assert holder.told == [(current, "renewed")]


@pytest.mark.parametrize("change", ["renew", "resume"])
def test_a_late_certificate_is_not_held_with_the_key_of_another_login(holder: Holder, change: str) -> None:
    holder.held.begin(ANOTHER_KEY, answer(b"of the other key"))
    getattr(holder.held, change)(holder.first, answer(b"late"))
    current: Any = holder.held.current
    assert (current.certificate_pem, current.private_key) == (b"of the other key", ANOTHER_KEY)
    assert holder.told == []


def test_a_certificate_that_comes_after_the_logout_is_dropped(holder: Holder) -> None:
    holder.held.forget()
    holder.held.renew(holder.first, answer(b"late"))
    holder.held.take_keys(MORE_KEYS)
    assert holder.held.current is None
    assert holder.told == []


def test_the_end_of_an_older_identity_ends_nothing(holder: Holder) -> None:
    holder.held.renew(holder.first, answer(b"second"))
    holder.told.clear()
    holder.held.end(holder.first, "too late")
    assert holder.held.current is not None
    assert holder.told == []


def test_the_end_of_a_session_is_told_with_its_reason_once(holder: Holder) -> None:
    for _ in range(2):
        holder.held.end(holder.first, "revoked")
    assert holder.held.current is None
    assert holder.told == [(None, "revoked")]


def test_keys_that_every_tracker_tells_are_passed_on_once(holder: Holder) -> None:
    for _ in range(3):
        holder.held.resume(holder.first, answer(b"first", MORE_KEYS))
    assert [(identity and identity.ticket_keys, reason) for identity, reason in holder.told] == [
        (MORE_KEYS, "ticket keys")
    ]
