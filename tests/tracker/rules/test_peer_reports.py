from hypothesis import given
from hypothesis import strategies as st

from tests.testkit.builders import bounded
from tracker.rules.peer_reports import Asker, PeerReports
from tracker.settings import DOUBTERS_COUNTED_MAX, PEER_REPORT_LIFE_S, PEER_REPORTS_PER_ACCOUNT_MAX

FILE, OTHER_FILE = ("lab", bytes(32)), ("lab", b"\x01" * 32)
OWNERS = {b"a": "ann", b"b": "bob"}
BOB, CY = Asker(1, "bob"), Asker(2, "cy")


def has_failed(reports: PeerReports, thumbprint: bytes, asker: Asker, now_s: float) -> bool:
    return thumbprint in reports.failed_of(FILE, asker, now_s)


def doubt(reports: PeerReports, thumbprint: bytes) -> int:
    return reports.doubts_of(FILE).get(thumbprint, 0)


def test_a_report_counts_for_the_session_that_made_it_and_for_a_while() -> None:
    reports = PeerReports()
    reports.take(FILE, CY, [b"a"], [], OWNERS, 0)
    assert has_failed(reports, b"a", CY, PEER_REPORT_LIFE_S - 1)
    assert not has_failed(reports, b"a", CY, PEER_REPORT_LIFE_S)
    assert not has_failed(reports, b"a", Asker(3, "cy"), 0)
    assert reports.failed_of(OTHER_FILE, CY, 0) == set()


def test_others_doubt_by_distinct_accounts_up_to_a_bound() -> None:
    reports = PeerReports()
    for session in range(20):
        reports.take(FILE, Asker(session, "cy"), [b"a"], [], OWNERS, 0)
    assert doubt(reports, b"a") == 1
    for number in range(20):
        reports.take(FILE, Asker(100 + number, f"user{number}"), [b"a"], [], OWNERS, 0)
    assert doubt(reports, b"a") == DOUBTERS_COUNTED_MAX


def test_nobody_is_heard_about_himself() -> None:
    reports = PeerReports()
    reports.take(FILE, CY, [b"b"], [], OWNERS, 0)
    reports.take(FILE, BOB, [], [b"b"], OWNERS, 0)
    assert doubt(reports, b"b") == 1
    reports.take(FILE, BOB, [b"b"], [], OWNERS, 0)
    assert doubt(reports, b"b") == 1


def test_a_peer_that_is_proved_to_serve_is_in_doubt_no_more() -> None:
    reports = PeerReports()
    reports.take(FILE, CY, [b"a"], [], OWNERS, 0)
    reports.take(FILE, BOB, [], [b"a"], OWNERS, 1)
    assert doubt(reports, b"a") == 0
    assert has_failed(reports, b"a", CY, 1), "it did not serve the one who said so"
    reports.take(FILE, CY, [], [b"a"], OWNERS, 2)
    assert not has_failed(reports, b"a", CY, 2)
    assert len(reports) == 0


def test_peers_that_are_not_there_and_old_reports_take_no_room() -> None:
    reports = PeerReports()
    reports.take(FILE, CY, [b"nobody", b"a"], [b"nobody"], OWNERS, 0)
    assert len(reports) == 1
    reports.sweep(PEER_REPORT_LIFE_S)
    assert len(reports) == doubt(reports, b"a") == 0


def test_the_oldest_reports_of_an_account_go_first_and_of_no_other() -> None:
    reports = PeerReports()
    reports.take(FILE, BOB, [b"a"], [], OWNERS, 0)
    for session in range(PEER_REPORTS_PER_ACCOUNT_MAX + 1):
        reports.take(FILE, Asker(session, "cy"), [b"a"], [], OWNERS, 1)
    assert len(reports) == PEER_REPORTS_PER_ACCOUNT_MAX + 1
    assert not has_failed(reports, b"a", Asker(0, "cy"), 1)
    assert has_failed(reports, b"a", BOB, 1)


said = st.tuples(st.sampled_from(["ann", "bob", "cy"]), st.integers(1, 3), st.booleans(), st.sampled_from([b"a", b"b"]))


@given(st.lists(said, max_size=40))
@bounded(100)
def test_doubt_is_never_more_than_the_accounts_that_hold_a_report(history: list[tuple[str, int, bool, bytes]]) -> None:
    reports = PeerReports()
    for now_s, (user_id, session, is_failure, thumbprint) in enumerate(history):
        about = ([thumbprint], []) if is_failure else ([], [thumbprint])
        reports.take(FILE, Asker(session, user_id), *about, OWNERS, now_s)
        for key, owner in OWNERS.items():
            sayers = {
                user
                for user in ("ann", "bob", "cy")
                for number in range(1, 4)
                if user != owner and has_failed(reports, key, Asker(number, user), now_s)
            }
            assert doubt(reports, key) <= len(sayers)
    reports.sweep(len(history) + PEER_REPORT_LIFE_S)
    assert len(reports) == doubt(reports, b"a") == doubt(reports, b"b") == 0
