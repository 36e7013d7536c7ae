from hypothesis import given
from hypothesis import strategies as st

from engine.coordinator.download.peer_answers import PATIENCE_S, REPORTED_MAX, PeerAnswers, PeerReport
from tests.testkit.builders import bounded
from tracker.protocol.types import PEERS_REPORTED_MAX

ANN, BOB = b"a", b"b"


def test_a_peer_whose_link_ends_before_it_gave_a_piece_has_failed() -> None:
    answers = PeerAnswers()
    answers.turned_to(ANN, 0)
    answers.ended(ANN, was_open=False)
    answers.turned_to(BOB, 0)
    answers.opened(BOB)
    answers.ended(BOB, was_open=True)
    assert answers.report(0) == PeerReport((ANN, BOB), ())


def test_a_peer_that_gave_something_and_went_has_not_failed() -> None:
    answers = PeerAnswers()
    answers.opened(ANN)
    answers.gave(ANN)
    answers.ended(ANN, was_open=True)
    assert answers.report(0) == PeerReport((), (ANN,))
    answers.turned_to(ANN, 1)
    answers.ended(ANN, was_open=False)
    assert answers.report(1).failed == (ANN,), "it is gone by now"


def test_who_does_not_answer_for_a_while_has_failed_until_the_answer_comes() -> None:
    answers = PeerAnswers()
    answers.turned_to(ANN, 0)
    assert answers.report(PATIENCE_S - 0.1) == PeerReport()
    assert answers.report(PATIENCE_S) == PeerReport((ANN,), ())
    answers.was_told(answers.report(PATIENCE_S))
    assert answers.report(PATIENCE_S).failed == (ANN,), "it is waited for still"
    answers.opened(ANN)
    assert answers.has_any
    assert answers.report(99) == PeerReport()


def test_one_link_of_several_that_ends_says_nothing() -> None:
    answers = PeerAnswers()
    answers.opened(ANN)
    answers.opened(ANN)
    answers.ended(ANN, was_open=True)
    answers.ended(ANN, was_open=False)
    assert answers.has_any
    assert answers.report(0) == PeerReport()
    answers.ended(ANN, was_open=True)
    assert not answers.has_any
    assert answers.report(0).failed == (ANN,)


def test_what_was_told_is_not_told_again() -> None:
    answers = PeerAnswers()
    answers.ended(ANN, was_open=False)
    answers.opened(BOB)
    answers.gave(BOB)
    report = answers.report(0)
    answers.gave(BOB)
    answers.was_told(report)
    assert answers.report(0) == PeerReport()


def test_a_report_fits_a_message() -> None:
    assert REPORTED_MAX == PEERS_REPORTED_MAX
    answers = PeerAnswers()
    for number in range(100):
        answers.ended(number.to_bytes(), was_open=False)
        answers.opened(bytes([1, number]))
        answers.gave(bytes([1, number]))
    assert len(answers.report(0).failed) == len(answers.report(0).served) == REPORTED_MAX
    assert (99).to_bytes() in answers.report(0).failed


steps = st.tuples(st.sampled_from(["turn", "open", "give", "end"]), st.sampled_from([ANN, BOB]))


@given(st.lists(steps, max_size=30))
@bounded(200)
def test_who_has_the_file_open_is_never_reported(history: list[tuple[str, bytes]]) -> None:
    answers, links = PeerAnswers(), {ANN: 0, BOB: 0}
    for step, peer in history:
        match step:
            case "turn":
                answers.turned_to(peer, 0)
            case "open":
                answers.opened(peer)
                links[peer] += 1
            case "give" if links[peer]:
                answers.gave(peer)
            case "end":
                answers.ended(peer, was_open=links[peer] > 0)
                links[peer] = max(0, links[peer] - 1)
        assert answers.has_any == any(links.values())
        assert not [each for each in answers.report(99).failed if links[each]]
