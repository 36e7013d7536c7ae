"""Under a flood an honest login and an honest download go on; nobody dies of it, and no memory is kept.

How much of the rate is left is measured (bench.attacks.floods), not tested: it depends on who else uses the machine.
These take a minute and a half, so they run with SHOAL_FULL=1 only; the rules that hold each flood off are tested where
they are.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.end_to_end.world import wait_until
from tests.testkit.floods.town import FLOODS, Town
from tests.testkit.measure import MIB

pytestmark = [
    pytest.mark.end_to_end,
    pytest.mark.xdist_group("hostile floods"),
    pytest.mark.skipif(not os.environ.get("SHOAL_FULL"), reason="takes long; SHOAL_FULL=1 runs it"),
]

_MEMORY_KEPT_MAX_BYTES = 64 * MIB


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with ExitStack() as stack:
        yield Town(tmp_path_factory.mktemp("town"), 8 * MIB, stack)


@pytest.mark.parametrize(("kind", "at"), FLOODS)
def test_a_flood_keeps_nobody_from_logging_in_and_fetching(town: Town, kind: str, at: str) -> None:
    before = town.memory_bytes()
    with town.attacker(kind, at):
        town.sample()
    assert town.count_dead() == 0
    # A password that is being checked holds 64 MiB until it is; kept is what stays when the last of them is done.
    wait_until(town.memory_bytes, lambda now: now - before < _MEMORY_KEPT_MAX_BYTES, "the memory is given back")
