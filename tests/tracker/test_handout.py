import random

from hypothesis import given
from hypothesis import strategies as st

from tracker.handout import COMPLETE_MIN, Handout
from tracker.presence import Sharer

FILE = ("lab", bytes(32))


def sharer(session: int, is_complete: bool) -> Sharer:
    return Sharer(session, f"user{session}", bytes([session % 256]), "192.0.2.1", 1, is_complete)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60), st.integers(1, 50), st.integers())
def test_never_the_asker_never_too_many_and_some_with_the_whole_file(
    completeness: list[bool], asker: int, want: int, seed: int
) -> None:
    sharers = [sharer(session, is_complete) for session, is_complete in enumerate(completeness)]
    handout, chance = Handout(), random.Random(seed)
    for _ in range(3):
        chosen = handout.choose(FILE, asker, sharers, want, chance)
        others = [one for one in sharers if one.session != asker]
        assert len(chosen) == len(set(chosen)) == min(want, len(others))
        assert set(chosen) <= set(others)
        complete_count = sum(one.is_complete for one in others)
        assert sum(one.is_complete for one in chosen) >= min(COMPLETE_MIN, want, complete_count)


def test_one_after_the_other_they_form_a_nearly_regular_graph() -> None:
    chance, handout, present = random.Random(7), Handout(), [sharer(0, True), sharer(1, True)]
    degrees = dict.fromkeys(range(200), 0)
    for session in range(2, 200):
        for chosen in handout.choose(FILE, session, present, 8, chance):
            degrees[chosen.session] += 1
            degrees[session] += 1
        present.append(sharer(session, False))
    partial = sorted(degrees[session] for session in range(2, 200))
    assert partial[0] >= 2
    assert partial[-1] <= 3 * 8
    # The two that have everything are asked for by everybody; no other peer is.
    assert sum(partial[50:150]) / 100 < 16


def test_the_same_chance_gives_the_same_handout() -> None:
    sharers = [sharer(session, session < 3) for session in range(40)]
    runs = [Handout().choose(FILE, 99, sharers, 10, random.Random(5)) for _ in range(2)]
    assert runs[0] == runs[1]


def test_counts_of_files_nobody_shares_are_dropped() -> None:
    handout, chance = Handout(), random.Random(1)
    sharers = [sharer(session, True) for session in range(3)]
    handout.choose(FILE, 99, sharers, 1, chance)
    handout.forget_unshared(lambda swarm: False)
    firsts = {handout.choose(FILE, 99, sharers, 1, random.Random(seed))[0].session for seed in range(3)}
    assert firsts == {0, 1, 2}
