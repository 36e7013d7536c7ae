"""Upload slots against a model: never more than there are, one a link, first come first served."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from engine.swarm.upload_slots import UploadSlots
from tests.builders import stepped

links = st.integers(1, 7)


def test_a_slot_goes_to_who_waits_longest() -> None:
    slots: UploadSlots[str] = UploadSlots(2)
    assert [slots.want(link) for link in "abcd"] == [True, True, False, False]
    assert slots.release("b") == "c"
    assert slots.release("a") == "d"
    assert slots.release("c") is None
    assert slots.want("e")


def test_a_link_that_holds_a_slot_gets_no_second_one() -> None:
    slots: UploadSlots[str] = UploadSlots(2)
    assert slots.want("a")
    assert not slots.want("a")
    assert slots.want("b")
    assert slots.release("a") is None


def test_a_link_that_is_gone_loses_its_place_in_the_queue() -> None:
    slots: UploadSlots[str] = UploadSlots(1)
    assert [slots.want(link) for link in "abc"] == [True, False, False]
    assert slots.release("b") is None
    assert slots.release("a") == "c"


class SlotsAgainstModel(RuleBasedStateMachine):
    """The model sees only answers: who may start, and in which order the others asked."""

    @initialize(slot_count=st.integers(1, 4))
    def begin(self, slot_count: int) -> None:
        self.slot_count = slot_count
        self.slots: UploadSlots[int] = UploadSlots(slot_count)
        self.holders: set[int] = set()
        self.waiting: list[int] = []

    @rule(link=links)
    def wants(self, link: int) -> None:
        may_start = self.slots.want(link)
        if link in self.holders or link in self.waiting:
            assert not may_start
        elif may_start:
            self.holders.add(link)
        else:
            self.waiting.append(link)

    @rule(link=links)
    def releases(self, link: int) -> None:
        successor = self.slots.release(link)
        was_holder = link in self.holders
        self.holders.discard(link)
        if link in self.waiting:
            self.waiting.remove(link)
        if was_holder and self.waiting:
            assert successor == self.waiting.pop(0)
            self.holders.add(successor)
        else:
            assert successor is None

    @invariant()
    def never_too_many_and_nobody_waits_beside_a_free_slot(self) -> None:
        assert len(self.holders) <= self.slot_count
        assert not self.waiting or len(self.holders) == self.slot_count


TestUploadSlots = SlotsAgainstModel.TestCase
TestUploadSlots.settings = stepped(60, 40)
