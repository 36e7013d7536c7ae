"""What a snapshot of a link says: how it does, and why nothing is asked on it."""

import itertools

import pytest

from engine.swarm.bitfield import Bitfield
from engine.swarm.leases import Leases
from engine.swarm.source import LinkCause, LinkSnapshot, Source

NOW_S = 100.0


@pytest.mark.parametrize(
    ("rests_s", "is_dry", "silent_s", "cause"),
    [
        (0.0, False, 0.0, "ready"),
        (1.0, True, 1.0, "put_off"),
        (0.0, True, 1.0, "nothing_new"),
        (0.0, False, 1.0, "silent"),
        (-1.0, False, -1.0, "ready"),
    ],
)
def test_a_link_on_which_nothing_is_asked_has_one_cause(
    rests_s: float, is_dry: bool, silent_s: float, cause: LinkCause
) -> None:
    source = Source(Bitfield(4), rests_until_s=NOW_S + rests_s, silent_until_s=NOW_S + silent_s)
    assert source.snapshot(7, [], NOW_S, is_dry=is_dry) == LinkSnapshot(7, 0.0, 0.0, 0, 0.0, cause)


def test_a_link_that_owes_an_answer_says_since_when_whatever_else_is_known_of_it() -> None:
    source, leases = Source(Bitfield(4), silent_until_s=NOW_S + 1.0), Leases(itertools.count(1))
    source.window.delivered(1000, NOW_S)
    leases.ask(7, (0,), NOW_S - 3.0)
    leases.ask(7, (1,), NOW_S - 1.0)
    shown = source.snapshot(7, leases.of_link(7), NOW_S, is_dry=True)
    assert (shown.requests, shown.waited_s, shown.cause) == (2, 3.0, "asked")
    assert shown.rate_bytes_per_s == source.window.rate_bytes_per_s > 0.0
