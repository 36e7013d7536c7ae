import math
import pickle

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from tracker.protocol import tickets
from tracker.protocol.tickets import BadTicket, Claims, check, sign

NOW_S = 1_800_000_000.5
KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
KEYS = {"k1": (PUBLIC, math.inf)}
THUMBPRINT = bytes(range(32))
GOOD = {
    "aud": "shoal peer",
    "sub": "ann",
    "group": "lab",
    "epoch": 3,
    "key": THUMBPRINT.hex(),
    "iat": NOW_S,
    "exp": NOW_S + 600,
}


def make(now_s: float = NOW_S) -> str:
    return sign(KEY, "k1", user_id="ann", group_id="lab", epoch=3, thumbprint=THUMBPRINT, now_s=now_s, life_s=600)


def test_a_ticket_says_what_was_signed() -> None:
    assert check(make(), KEYS, NOW_S) == Claims("ann", "lab", 3, THUMBPRINT, NOW_S + 600)


@given(
    st.text(min_size=1, max_size=64),
    st.text(min_size=1, max_size=64),
    st.integers(0, 2**53),
    st.binary(min_size=32, max_size=32),
)
def test_every_ticket_round_trips(user_id: str, group_id: str, epoch: int, thumbprint: bytes) -> None:
    ticket = sign(
        KEY, "k1", user_id=user_id, group_id=group_id, epoch=epoch, thumbprint=thumbprint, now_s=NOW_S, life_s=1
    )
    claims = check(ticket, KEYS, NOW_S)
    assert (claims.user_id, claims.group_id, claims.epoch, claims.thumbprint) == (
        user_id,
        group_id,
        epoch,
        thumbprint,
    )


def test_a_ticket_is_valid_from_a_little_before_until_its_end_exactly() -> None:
    check(make(), KEYS, NOW_S - 29)
    check(make(), KEYS, NOW_S + 599)
    for at_s in (NOW_S - 31, NOW_S + 600, NOW_S + 1e9):
        with pytest.raises(BadTicket):
            check(make(), KEYS, at_s)


def test_claims_hold_no_longer_than_the_key_and_than_any_ticket_lives() -> None:
    assert check(make(), {"k1": (PUBLIC, NOW_S + 60)}, NOW_S).expires_at_s == NOW_S + 60
    forged = jwt.encode({**GOOD, "exp": NOW_S + 1e9, "open": False}, KEY, "EdDSA", {"kid": "k1"})
    assert check(forged, KEYS, NOW_S).expires_at_s < NOW_S + 700


@pytest.mark.parametrize("after_s", [0, 1e9])
def test_a_ticket_of_a_key_that_ended_is_refused_whatever_it_says(after_s: float) -> None:
    at_s = NOW_S + 60 + after_s
    forged = jwt.encode({**GOOD, "exp": NOW_S + 1e10, "open": False}, KEY, "EdDSA", {"kid": "k1"})
    check(forged, KEYS, at_s)
    with pytest.raises(BadTicket, match="not used any more"):
        check(forged, {"k1": (PUBLIC, NOW_S + 60)}, at_s)


@pytest.mark.parametrize(
    "change",
    [
        {"aud": "shoal tracker"},
        {"aud": ["shoal peer"]},
        {"sub": 5},
        {"sub": ""},
        {"group": None},
        {"epoch": -1},
        {"epoch": "3"},
        {"epoch": True},
        {"key": "zz" * 32},
        {"key": "00"},
        {"exp": "soon"},
        {"exp": float("nan")},
        {"iat": float("nan")},
    ],
)
def test_a_signed_ticket_with_a_wrong_claim_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(BadTicket):
        check(jwt.encode({**GOOD, **change}, KEY, "EdDSA", {"kid": "k1"}), KEYS, NOW_S)


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_ticket_without_a_claim_is_refused(missing: str) -> None:
    claims = {key: value for key, value in GOOD.items() if key != missing}
    with pytest.raises(BadTicket):
        check(jwt.encode(claims, KEY, "EdDSA", {"kid": "k1"}), KEYS, NOW_S)


def test_only_eddsa_by_a_known_key_is_believed() -> None:
    unsigned = jwt.encode(GOOD, "", "none", {"kid": "k1"})
    by_public_key = jwt.encode(GOOD, PUBLIC, "HS256", {"kid": "k1"})
    by_stranger = jwt.encode(GOOD, Ed25519PrivateKey.generate(), "EdDSA", {"kid": "k1"})
    unknown_kid = jwt.encode(GOOD, KEY, "EdDSA", {"kid": "k2"})
    no_kid = jwt.encode(GOOD, KEY, "EdDSA")
    for ticket in (unsigned, by_public_key, by_stranger, unknown_kid, no_kid):
        with pytest.raises(BadTicket):
            check(ticket, KEYS, NOW_S)


def test_an_oversize_ticket_is_refused_before_it_is_read() -> None:
    with pytest.raises(BadTicket, match="2048"):
        check(make() + "A" * 2048, KEYS, NOW_S)


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(BadTicket):
        check(text, KEYS, NOW_S)


@given(st.data())
def test_a_changed_character_is_refused_or_changes_nothing(data: st.DataObject) -> None:
    ticket = make()
    index = data.draw(st.integers(0, len(ticket) - 1))
    changed = ticket[:index] + data.draw(st.characters(codec="ascii")) + ticket[index + 1 :]
    try:
        assert check(changed, KEYS, NOW_S) == check(ticket, KEYS, NOW_S)
    except BadTicket:
        assert changed != ticket


def test_check_travels_to_a_worker_process_by_reference() -> None:
    assert pickle.loads(pickle.dumps(tickets.check)) is check
