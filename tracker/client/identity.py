"""Who this client is: its account, its key, and the certificate that a tracker issued for the two.

A certificate lasts a day and is renewed meanwhile, by whichever tracker answers. The answers may come late, and from
several trackers, so each change says which identity it is for, and is dropped if that one is no longer held.

Invariant: a certificate is only ever held together with the key it was issued for.
Not here: asking a tracker for any of it (client, known_tracker).
"""

from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct
from msgspec.structs import replace

from tracker.protocol.requests import login_challenge
from tracker.protocol.results import LoggedIn
from tracker.protocol.types import TrustedKey


class Identity(Struct, frozen=True):
    """What this client shows to trackers and to peers, once logged in."""

    user_id: str
    private_key: Ed25519PrivateKey
    certificate_pem: bytes
    expires_at_s: float
    ticket_keys: dict[str, TrustedKey]

    def proof(self, nonce: bytes) -> bytes:
        return self.private_key.sign(login_challenge(nonce, self.user_id))


class HeldIdentity:
    """`current` is None before a login and after the session is over. A login and a logout are the owner's own doing;
    of every other change `on_change` is told, with the reason.
    """

    def __init__(self, on_change: Callable[[Identity | None, str], None]) -> None:
        self.current: Identity | None = None
        self._on_change = on_change

    def begin(self, private_key: Ed25519PrivateKey, answer: LoggedIn) -> None:
        self.current = Identity(
            answer.user_id, private_key, answer.certificate_pem, answer.expires_at_s, answer.ticket_keys
        )

    def forget(self) -> None:
        self.current = None

    def end(self, identity: Identity, reason: str) -> None:
        """A tracker says that its session is over. Nothing happens after another login, or a renewal."""
        if self.current is identity:
            self.current = None
            self._on_change(None, reason)

    def renew(self, asked_as: Identity, answer: LoggedIn) -> None:
        """The certificate of the answer is for the key that `asked_as` has; another login since has another key."""
        if self.current is not None and self.current.private_key is asked_as.private_key:
            self.current = replace(
                self.current,
                certificate_pem=answer.certificate_pem,
                expires_at_s=answer.expires_at_s,
                ticket_keys=answer.ticket_keys,
            )
            self._on_change(self.current, "renewed")

    def resume(self, asked_as: Identity, answer: LoggedIn) -> None:
        """A session goes on with another tracker."""
        if answer.certificate_pem == asked_as.certificate_pem:
            self.take_keys(answer.ticket_keys)
        else:
            # It had revoked the other sessions, and the answer with the new certificate was lost.
            self.renew(asked_as, answer)

    def take_keys(self, keys: dict[str, TrustedKey]) -> None:
        """Every tracker tells them, and each again when a session is resumed."""
        if self.current is not None and self.current.ticket_keys != keys:
            self.current = replace(self.current, ticket_keys=keys)
            self._on_change(self.current, "ticket keys")
