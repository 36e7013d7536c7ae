import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.shell.terminal.history import without_passwords

SECRET = "s3cret-word"


@given(
    st.sampled_from(
        ["login", "create_user", "lgoin", "Login", "logn alice", "create_user 'ali ce'", "change_password", "ann"]
    ),
    st.lists(st.sampled_from(["alice", "#", "''"]), max_size=3),
    st.sampled_from([SECRET, shlex.quote(SECRET + " "), f"'{SECRET}", f'"{SECRET}', f"{SECRET}\\"]),
)
def test_no_password_is_ever_kept(command: str, between: list[str], secret: str) -> None:
    typed = " ".join([command, *(between or ["alice"]), secret])
    assert SECRET not in without_passwords(typed)
    assert SECRET not in without_passwords(f"list_groups\n{typed}\nhelp")


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("login alice s3cret", "login alice"),
        ("create_user 'a b' s3cret", "create_user 'a b'"),
        ("login alice", "login alice"),
        ("change_password 0ld s3cret", "change_password"),
        ("download_file lab 'my file' .  # here", "download_file lab 'my file' .  # here"),
        ("requests list_requests lab", "requests list_requests lab"),
        ("list_groups\nlogin alice s3cret\n\nexit", "list_groups\nlogin alice\nexit"),
        ("s3cret", ""),
        ("login alice 's3cret", ""),
        ("", ""),
    ],
)
def test_everything_else_is_kept(typed: str, kept: str) -> None:
    assert without_passwords(typed) == kept
