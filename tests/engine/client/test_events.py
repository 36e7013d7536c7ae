import inspect
from collections.abc import Iterator

import pytest

from engine.client import events
from engine.coordinator import events as transfer_events
from engine.errors import LocalError, ShoalError
from engine.reports import DownloadStatus, DroppedShare, Event, Notice

STATUS = DownloadStatus("lab", "a.bin", "/data/a.bin", "paused", 9, 4, 0.0, 0, {}, 0.0)
SAMPLES = {
    str: "something", int: 2, float: 1.5, bool: True, DownloadStatus: STATUS, ShoalError: LocalError("why", "code"),
    DroppedShare: DroppedShare("lab", "a.bin", "/data/a.bin", "it changed"),
}  # fmt: skip


def all_events() -> Iterator[Event]:
    for module in (events, transfer_events):
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Event) and kind not in (Event, Notice):
                yield kind(*(SAMPLES[kind.__annotations__[field]] for field in kind.__struct_fields__))


@pytest.mark.parametrize("event", list(all_events()), ids=lambda event: type(event).__name__)
def test_each_has_a_code_and_a_sentence_and_never_changes(event: Event) -> None:
    assert event.code.replace("_", "").isalpha()
    assert str(event)
    assert "Struct" not in str(event)
    with pytest.raises(AttributeError):
        setattr(event, event.__struct_fields__[0], None)


def test_what_failed_has_the_code_and_the_sentence_of_its_error() -> None:
    failed = events.WorkFailed(LocalError("no space left", "no_space"))
    assert (failed.code, str(failed)) == ("no_space", "no space left")


@pytest.mark.parametrize("state", ["missing", "unreadable"])
def test_the_code_of_a_share_that_is_away_tells_how(state: str) -> None:
    away = events.ShareAway(state, "lab", "no such file")
    assert away.code == f"share_{state}"
    assert str(away).startswith("not served in lab for now: no such file; ")


def test_an_id_that_may_look_like_another_is_marked() -> None:
    assert str(events.RequestArrived("lab", "bob")) == "bob asks to join lab: accept_request lab bob"
    assert str(events.LeftGroup("l\u0430b")) != "you are not a member of l\u0430b any more"
