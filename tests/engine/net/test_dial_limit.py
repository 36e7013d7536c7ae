from engine.net.dial_limit import DialLimit
from engine.settings import Settings

SETTINGS = Settings(dials_per_s_per_address=8, dials_at_once_per_address=32)


def test_an_address_dials_so_often_at_once_and_then_so_often_a_second() -> None:
    dial_limit = DialLimit(SETTINGS)
    assert sum(dial_limit.may_enter("flood", 0.0) for _ in range(1000)) == 32
    let_in = sum(dial_limit.may_enter("flood", number / 64) for number in range(1, 641))
    assert let_in == 80


def test_another_address_is_not_concerned() -> None:
    dial_limit = DialLimit(SETTINGS)
    while dial_limit.may_enter("flood", 0.0):
        pass
    assert dial_limit.may_enter("honest", 0.0)


def test_a_pause_allows_no_more_at_once_than_before() -> None:
    dial_limit = DialLimit(SETTINGS)
    assert dial_limit.may_enter("host", 0.0)
    assert sum(dial_limit.may_enter("host", 1e6) for _ in range(1000)) == 32
