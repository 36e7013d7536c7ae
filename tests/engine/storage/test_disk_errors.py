import errno

import pytest

from engine.storage.disk_errors import OUT_OF_SPACE, explained


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_what_more_room_would_mend_has_one_code(number: int) -> None:
    assert explained(OSError(number, "?"), "write", "/a/file").code == OUT_OF_SPACE


@pytest.mark.parametrize("number", sorted(errno.errorcode))
def test_every_error_names_what_was_done_and_the_path(number: int) -> None:
    error = explained(OSError(number, "as the system says it"), "read", "/a/file")
    assert str(error).startswith("cannot read /a/file: ")
    assert error.code


def test_an_error_without_advice_keeps_the_words_of_the_system() -> None:
    assert str(explained(OSError(errno.EPIPE, "Broken pipe"), "write", "/a")) == "cannot write /a: Broken pipe"
    assert str(explained(OSError("no number at all"), "write", "/a")) == "cannot write /a: no number at all"
