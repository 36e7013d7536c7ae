import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.errors import LocalError
from engine.shell.piped import run_lines
from engine.shell.reading import lines_of

if TYPE_CHECKING:
    from tests.engine.shell.conftest import Bench

LOGIN = ("create_user alice pw", "login alice pw")


async def test_results_and_errors_go_apart_and_the_run_goes_on(bench: "Bench") -> None:
    await bench.run("list_groups", "# comment", "", *LOGIN, "create_group lab", "lgoin x", "join_group", "list_groups")
    assert bench.err.getvalue().splitlines() == [
        "error: you are not logged in; use login first",
        "error: there is no command 'lgoin'; did you mean login?",
        "error: wrong number of words: join_group takes 1 word after it, not 0. "
        "Usage: join_group <group_id> (quote a name that has spaces in it)",
    ]
    assert bench.out.getvalue().splitlines() == [
        "made the account alice; log in with: login alice",
        "logged in as alice",
        "2 shares resumed",
        "no longer shared: old.bin in lab (/data/old.bin): the file changed",
        "made the group lab; you own it",
        "GROUP  OWNER  MEMBERS  LINKS   YOU",
        "lab    alice  1        sealed  you own it",
    ]
    assert bench.runner.has_failed


async def test_a_run_without_errors_has_not_failed(bench: "Bench") -> None:
    await bench.run(*LOGIN, "accept_request lab bob", "reject_request", "exit", "create_user late pw")
    assert bench.runner.has_failed
    assert bench.client.passwords == {"alice": "pw"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("join_group lab", "asked to join lab; its owner decides"),
        ("leave_group lab", "left lab; you were its last member, so the group was removed"),
        ("requests list_requests lab", "carol"),
        ("accept_request lab carol", "carol is a member of lab now"),
        ("join_group LAB", "asked to join lab; its owner decides"),
        ("list_requests EMPTY", "nobody is waiting to join empty"),
        ("accept_request LAB Carol", "carol is a member of lab now"),
        ("remove_member LAB Carol", "carol is not a member of lab any more"),
        ("transfer_ownership LAB Carol", "lab belongs to carol now; you are a member"),
        ("upload_file /data/new.bin lab", "sharing new.bin in lab (4.0 MiB in 0.5 s, 8.0 MiB/s)"),
        ("upload_file /data/known.bin lab", "you became another sharer of it"),
        ("stop_share lab x", "stopped sharing x in lab; nobody else online has it, so it left the group's list"),
        ("show_downloads", "there are no downloads"),
        ("show_shares", "lab    away.bin   4.0 MiB  missing: no such file     /mnt/away.bin"),
        ("show_shares", "rereading, 50 %: touched"),
        ("logout", "logged out; nothing is served any more"),
        ("help serve", "serve: keep sharing until interrupted"),
        ("list_files lab", "evil\\x1b[2J.bin"),
        ("list_files lab", "'with space.bin'  4.0 MiB  1"),
    ],
)
async def test_every_answer_is_a_sentence(bench: "Bench", line: str, said: str) -> None:
    await bench.run(*LOGIN, line)
    assert said in bench.out.getvalue()
    assert not bench.runner.has_failed


async def test_a_download_is_followed_to_its_end(bench: "Bench") -> None:
    await bench.run(*LOGIN, "download_file lab good.bin folder/", "show_downloads")
    assert bench.client.destinations == ["folder/"], "the slash says that it must be a folder"
    assert bench.out.getvalue().splitlines()[-4:] == [
        "downloaded good.bin: 4.0 MiB in 2.0 s, 2.0 MiB/s, verified",
        "  from alice 4.0 MiB, bob 1.0 KiB",
        "  to /tmp/good.bin, shared in lab from there",
        "[C]  lab  good.bin  100 %  of 4.0 MiB  -  2 peers",
    ]


async def test_a_download_that_waits_or_fails_says_so(bench: "Bench") -> None:
    await bench.run(*LOGIN, "download_file lab alone.bin . --timeout 0", "download_file lab broken.bin .")
    assert bench.err.getvalue().splitlines() == [
        "error: alone.bin did not arrive in time: 25 % is here; nobody online has alone.bin yet. The download goes on "
        "while this client runs, and the same command or the next login goes on with it later",
        "error: no peer has it any more",
    ]
    await bench.run("show_downloads")
    waiting, failed = bench.out.getvalue().splitlines()[-2:]
    assert waiting.startswith("[W]")
    assert waiting.endswith("waiting: nobody online has alone.bin yet")
    assert failed == "[F]  lab  broken.bin  25 %  of 4.0 MiB  -  2 peers  failed: no peer has it any more"


async def test_a_target_that_is_there_already_is_checked_in_sight(bench: "Bench") -> None:
    await bench.run(*LOGIN, "download_file lab there.bin /data")
    shown = bench.err.getvalue().splitlines()
    assert [line.split("%")[0].split()[-1] for line in shown] == ["25", "50", "75", "100"]
    assert all("checking" in line and "there.bin" in line for line in shown)
    assert "already is there.bin" in bench.out.getvalue()


async def test_json_has_the_fields_that_are_documented(json_bench: "Bench") -> None:
    await json_bench.run(*LOGIN, "create_group lab", "list_groups", "list_files lab", "download_file lab there.bin .")
    created, logged_in, _made, groups, files, downloaded = json_bench.records
    assert created == {"command": "create_user", "ok": True, "user_id": "alice"}
    assert logged_in.keys() == {
        "command", "ok", "user_id", "shares_resumed", "shares_dropped", "downloads_resumed", "shares_waiting",
    }  # fmt: skip
    (lab,) = groups["groups"]
    assert lab == {"group_id": "lab", "owner": "alice", "member_count": 1, "standing": "owner", "is_open": False}
    assert files["files"][0] == {
        "name": "good.bin",
        "size_bytes": 4 << 20,
        "root": bytes(range(32)).hex(),
        "publisher": "alice",
        "sharers_online": 1,
        "partial_online": 2,
    }
    assert (downloaded["state"], downloaded["bytes_by_peer"]["bob"]) == ("complete", 1024)


@pytest.mark.parametrize("typed", ["soon", "-1", "nan", "1e10"])
async def test_a_time_that_is_none_is_refused_before_anything_begins(json_bench: "Bench", typed: str) -> None:
    await json_bench.run(*LOGIN, f"download_file lab good.bin . --timeout {typed}")
    assert json_bench.records[-1]["error"]["code"] == "usage"
    assert not json_bench.client.destinations


async def test_what_does_not_arrive_in_time_is_an_error_and_goes_on(json_bench: "Bench") -> None:
    await json_bench.run(*LOGIN, "download_file lab endless.bin . --timeout 0", "show_downloads")
    refused, shown = json_bench.records[-2:]
    assert (refused["ok"], refused["error"]["code"]) == (False, "timeout")
    assert [each["state"] for each in shown["downloads"]] == ["downloading"]
    assert json_bench.runner.has_failed


async def test_json_errors_have_a_code(json_bench: "Bench") -> None:
    await json_bench.run("login alice wrong", "login 'alice", "nonsense", "leave_group a b")
    assert [(record["command"], record["error"]["code"]) for record in json_bench.records] == [
        ("login", "login_failed"),
        (None, "quoting"),
        ("nonsense", "unknown_command"),
        ("leave_group", "usage"),
    ]


async def test_a_bug_is_one_line_and_its_traceback_a_file(bench: "Bench", tmp_path: Path) -> None:
    await bench.run(*LOGIN, "reject_request lab bob", "accept_request lab bob")
    (line,) = bench.err.getvalue().splitlines()
    log = tmp_path / "shoal-errors.log"
    bug = "KeyError: 'a bug\\nof the engine'"
    assert line == f"error: internal: {bug}. This is a bug in Shoal; the details are in {log}"
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600
    assert bench.out.getvalue().endswith("bob is a member of lab now\n")


async def test_a_password_left_out_is_asked_for(bench: "Bench") -> None:
    bench.answers += ["pw", "pw", "pw", "one", "two"]
    await bench.run("create_user alice", "login alice", "create_user bob")
    assert bench.client.user_id == "alice"
    assert bench.err.getvalue() == "error: the two passwords differ; nothing was done, try again\n"


async def test_an_interrupted_command_has_failed(json_bench: "Bench") -> None:
    run = asyncio.create_task(json_bench.run("login nobody-answers pw", "create_user alice pw"))
    while "asking" not in json_bench.out.getvalue():
        await asyncio.sleep(0)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    _notice, record = json_bench.records
    assert (record["command"], record["error"]["code"]) == ("login", "interrupted")


async def test_interrupting_serve_is_how_it_ends_well(bench: "Bench") -> None:
    serving = asyncio.create_task(bench.run(*LOGIN, "serve", "create_user late pw"))
    while "sharing until" not in bench.err.getvalue():
        await asyncio.sleep(0)
    serving.cancel()
    await serving
    assert bench.out.getvalue().endswith("stopped sharing\n")
    assert not bench.runner.has_failed
    assert "late" not in bench.client.passwords


async def test_serve_needs_somebody_logged_in(bench: "Bench") -> None:
    await bench.run("serve", "create_user alice pw")
    assert bench.runner.has_failed
    assert "alice" in bench.client.passwords


async def test_lines_come_from_a_pipe_as_they_are_written() -> None:
    reading, writing = os.pipe()
    lines = lines_of(reading)
    os.write(writing, b"first\nsec")
    assert await anext(lines) == "first"
    os.write(writing, b"ond \xff\nlast")
    assert await anext(lines) == "second \udcff"
    os.close(writing)
    assert [line async for line in lines] == ["last"]
    os.close(reading)


async def test_lines_come_from_a_regular_file(tmp_path: Path, bench: "Bench") -> None:
    script = tmp_path / "script"
    script.write_text("\n".join([*LOGIN, "create_group lab"] + ["# more than one chunk"] * 10_000))
    with script.open("rb") as file:
        await run_lines(bench.runner, lines_of(file.fileno()))
    assert bench.client.owners == {"lab": "alice"}


async def test_a_bug_in_a_task_that_nobody_awaits_is_said_too(bench: "Bench", tmp_path: Path) -> None:
    said: list[str] = []
    loop = asyncio.get_running_loop()
    bench.runner.incidents.watch(loop, lambda error: said.append(str(error)))
    loop.call_exception_handler({"message": "stray", "exception": LocalError("lost")})
    loop.set_exception_handler(None)
    assert said[0].startswith("internal: LocalError: lost")


async def test_the_passwords_of_a_change_are_asked_for_unless_they_are_given(bench: "Bench") -> None:
    bench.answers += ["pw", "new", "new", "newer", "newest"]
    await bench.run("create_user alice pw", "login alice pw", "change_password", "change_password new")
    assert bench.client.passwords["alice"] == "new"
    assert "the two passwords differ" in bench.err.getvalue()
    await bench.run("change_password new newest")
    assert bench.client.passwords["alice"] == "newest"


async def test_a_removal_names_whom_and_where(json_bench: "Bench") -> None:
    await json_bench.run("create_user alice pw", "login alice pw", "remove_member lab bob", "revoke_sessions")
    assert json_bench.records[-2:] == [
        {"command": "remove_member", "ok": True, "group_id": "lab", "user_id": "bob"},
        {"command": "revoke_sessions", "ok": True},
    ]


@pytest.mark.parametrize("command", ["join_group LAB", "list_requests LAB", "audit LAB", "list_files LAB"])
async def test_a_group_is_named_as_its_maker_did(json_bench: "Bench", command: str) -> None:
    await json_bench.run("create_user alice pw", "login alice pw", command)
    assert json_bench.records[-1]["group_id"] == "lab"


async def test_an_invitation_is_asked_for_where_the_password_was(bench: "Bench") -> None:
    bench.answers += ["pw", "pw", "welcome"]
    await bench.run("create_user guest", "login guest pw")
    assert bench.client.user_id == "guest"
    await bench.run("create_user guest pw")
    assert "invited people only" in bench.err.getvalue()


async def test_the_log_of_a_group_is_a_table_for_people_and_rows_for_programs(
    bench: "Bench", json_bench: "Bench"
) -> None:
    for each in (bench, json_bench):
        await each.run("create_user alice pw", "login alice pw", "audit lab")
    assert "alice  member removed" in bench.out.getvalue()
    assert "\x1b" not in bench.out.getvalue()
    assert json_bench.records[-1]["entries"][0] == {
        "at_s": 1e9, "actor": "alice", "action": "group_created", "subject": "", "host": "192.0.2.1",
    }  # fmt: skip


@pytest.mark.parametrize("hours", ["0", "-1", "nan", "721", "soon", "1e9"])
async def test_an_invitation_has_a_reasonable_end(bench: "Bench", hours: str) -> None:
    await bench.run("create_user alice pw", "login alice pw", f"create_invite {hours}")
    assert "1 to 720 hours" in bench.err.getvalue()
    await bench.run("create_invite 1.5")
    assert "a" * 26 in bench.out.getvalue()


@pytest.mark.parametrize(
    "line", ["login alice #pw", "create_user bob #pw", "create_user bob pw #invitation", "change_password pw #new",
             "change_password #pw #new", "create_group #1", "join_group # a comment", "help #login"],
)  # fmt: skip
async def test_a_word_that_begins_with_a_hash_is_never_lost_silently(
    bench: "Bench", json_bench: "Bench", line: str
) -> None:
    await bench.run(line)  # and no password is asked for: there is no answer to give
    (sentence,) = bench.err.getvalue().splitlines()
    assert sentence.startswith(f"error: the # begins a comment, so {line.split()[0]} has ")
    assert "quote a word" in sentence.lower()
    assert "pw #" not in sentence
    await json_bench.run(line)
    assert json_bench.records[0]["error"]["code"] == "usage"


@pytest.mark.parametrize("word", ["'#pw'", '"#pw"', r"\#pw"])
async def test_a_quoted_hash_is_a_word_like_any_other(bench: "Bench", word: str) -> None:
    await bench.run(f"create_user alice {word}", f"login alice {word}")
    assert bench.client.passwords == {"alice": "#pw"}
    assert bench.err.getvalue() == ""


async def test_a_comment_behind_a_whole_command_is_noted_if_it_looks_like_a_word(bench: "Bench") -> None:
    bench.answers.append("pw")
    await bench.run("create_user alice pw '' # made once", "login alice # asks", "join_group lab #soon")
    assert bench.client.user_id == "alice"
    (note,) = bench.err.getvalue().splitlines()
    assert note.startswith("note: what follows the # is taken for a comment")
    assert "soon" not in note


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
async def test_lines_of_every_system_are_lines(end: str, bench: "Bench", tmp_path: Path) -> None:
    script = tmp_path / "script"
    lines = ("\ufeff" + LOGIN[0], LOGIN[1], "", "\tcreate_group  lab\t ", "\ufeffleave_group lab")
    script.write_bytes(end.join(lines).encode())
    with script.open("rb") as file:
        await run_lines(bench.runner, lines_of(file.fileno()))
    assert bench.err.getvalue() == ""
    assert bench.client.owners == {"lab": "alice"}


async def test_commands_in_another_encoding_are_said_to_be_that(bench: "Bench", tmp_path: Path) -> None:
    script = tmp_path / "script"
    for encoding, text in (("utf-16", "list_groups\n"), ("utf-16-be", "list_groups\n"), ("latin-1", "gr\u00fc\u00dfe")):
        script.write_bytes(text.encode(encoding))
        with script.open("rb") as file:
            await run_lines(bench.runner, lines_of(file.fileno()))
    errors = bench.err.getvalue().splitlines()
    assert len(errors) >= 3
    assert all("not UTF-8 text" in each and "save the commands as UTF-8" in each for each in errors)
