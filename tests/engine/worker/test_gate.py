import time

import pytest

from engine.ipc.ticket_check import Keys
from engine.net.admission import Refusal
from engine.net.tls import PeerIdentity
from engine.worker.gate import TicketGate
from tests.testkit.fakes import Club
from tracker.protocol import tickets

PEER = PeerIdentity("ann", b"a" * 32)


class Checker:
    """Says of every ticket that it is ann's, and how long it holds; counts how often it was asked."""

    def __init__(self, expires_at_s: float) -> None:
        self.expires_at_s = expires_at_s
        self.count = 0

    def __call__(self, ticket: str, keys: Keys, now_s: float) -> tickets.Claims:
        self.count += 1
        return tickets.Claims("ann", "lab", 1, PEER.thumbprint, self.expires_at_s)


def test_the_signature_of_a_ticket_is_checked_once() -> None:
    checker = Checker(time.time() + 600)
    gate = TicketGate(checker)
    for _ in range(3):
        gate.judge(PEER, "lab", "ticket", is_open=False)
    gate.judge(PEER, "lab", "another", is_open=False)
    assert checker.count == 2


def test_a_ticket_that_ended_is_checked_again() -> None:
    checker = Checker(time.time() - 1)
    gate = TicketGate(checker)
    for _ in range(2):
        gate.judge(PEER, "lab", "ticket", is_open=False)
    assert checker.count == 2


def test_a_known_ticket_is_no_use_to_somebody_else_nor_after_a_new_epoch() -> None:
    gate = TicketGate(Checker(time.time() + 600))
    gate.judge(PEER, "lab", "ticket", is_open=False)
    for stranger in (PeerIdentity("bob", PEER.thumbprint), PeerIdentity("ann", b"b" * 32)):
        with pytest.raises(Refusal, match="somebody else's"):
            gate.judge(stranger, "lab", "ticket", is_open=False)
    gate.raise_epoch("lab", 2)
    with pytest.raises(Refusal, match="before the group's members changed"):
        gate.judge(PEER, "lab", "ticket", is_open=False)


def test_with_other_keys_every_ticket_is_checked_again() -> None:
    club, others = Club(), Club()
    ann = club.member("ann")
    ticket, peer = ann.ticket("lab"), PeerIdentity("ann", ann.thumbprint)
    gate = TicketGate(tickets.check)
    gate.trust(club.ticket_keys)
    gate.judge(peer, "lab", ticket, is_open=False)
    gate.trust(others.ticket_keys)
    with pytest.raises(Refusal, match="does not hold"):
        gate.judge(peer, "lab", ticket, is_open=False)
