from engine.net.rate_limit import Knocks
from engine.settings import Settings

SETTINGS = Settings(dials_per_s_per_address=8, dials_at_once_per_address=32)


def test_an_address_dials_so_often_at_once_and_then_so_often_a_second() -> None:
    knocks = Knocks(SETTINGS)
    assert sum(knocks.may_enter("flood", 0.0) for _ in range(1000)) == 32
    let_in = sum(knocks.may_enter("flood", number / 64) for number in range(1, 641))
    assert let_in == 80


def test_another_address_is_not_concerned() -> None:
    knocks = Knocks(SETTINGS)
    while knocks.may_enter("flood", 0.0):
        pass
    assert knocks.may_enter("honest", 0.0)


def test_a_pause_allows_no_more_at_once_than_before() -> None:
    knocks = Knocks(SETTINGS)
    assert knocks.may_enter("host", 0.0)
    assert sum(knocks.may_enter("host", 1e6) for _ in range(1000)) == 32
