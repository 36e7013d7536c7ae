"""What each command of the table does: one call of the client, and its report as a Result.

Actions decide nothing and keep nothing. The client refuses what must be refused, with its own sentence; an action only
turns typed words into arguments and reports into answers.

Invariant: ACTIONS has one action for each command of the table, which takes that command's words.
Not for: checking the number of words (commands), catching errors (runner).
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

from msgspec import to_builtins

from engine.errors import LocalError, RefusedByTracker
from engine.shell.answers import sentences
from engine.shell.answers.output import Output, Progress, Remark, Result
from engine.shell.answers.safe_text import identifier, name
from engine.shell.commands import COMMANDS, find_command
from engine.shell.following import finish_download

if TYPE_CHECKING:
    from engine.client.client import Client

_TIMEOUT_S_MAX = 1e9

AskPassword = Callable[[str], Awaitable[str]]


@dataclass
class Context:
    """What an action works with."""

    client: "Client"
    output: Output
    ask_password: AskPassword


async def create_user(
    context: Context, user_id: str, password: str | None = None, invitation: str = ""
) -> Result:
    asks = password is None
    if password is None:
        password = await _new_password(context, f"new password for {name(user_id)}: ")
    try:
        await context.client.create_user(user_id, password, invitation)
    except RefusedByTracker as refusal:
        if refusal.code != "invite_needed" or not asks:
            raise
        invitation = await context.ask_password("this tracker asks for an invitation: ")
        await context.client.create_user(user_id, password, invitation)
    return Result(f"made the account {name(user_id)}; log in with: login {name(user_id)}", {"user_id": user_id})


async def login(context: Context, user_id: str, password: str | None = None) -> Result:
    if password is None:
        password = await context.ask_password(f"password of {name(user_id)}: ")
    report = await context.client.login(user_id, password)
    return Result(sentences.logged_in(report), to_builtins(report))


async def logout(context: Context) -> Result:
    await context.client.logout()
    return Result("logged out; nothing is served any more")


async def change_password(context: Context, old: str | None = None, new: str | None = None) -> Result:
    if old is None:
        old = await context.ask_password("old password: ")
    if new is None:
        new = await _new_password(context, "new password: ")
    await context.client.change_password(old, new)
    return Result("changed your password; your other sessions were logged out")


async def revoke_sessions(context: Context) -> Result:
    await context.client.revoke_sessions()
    return Result("your other sessions were logged out; this one goes on")


async def create_invite(context: Context, hours: str = "168") -> Result:
    try:
        life_s = float(hours) * 3600
    except ValueError:
        life_s = 0.0
    if not 60 <= life_s <= 30 * 86400:
        raise LocalError(f"an invitation lasts 1 to 720 hours, not {name(hours)}", "usage")
    report = await context.client.create_invite(life_s)
    return Result(sentences.invited(report), to_builtins(report))


async def create_group(context: Context, group_id: str, option: str | None = None) -> Result:
    if option not in (None, "--open"):
        raise LocalError(f"create_group knows the option --open, not {name(option)}", "usage")
    is_open = option is not None
    await context.client.create_group(group_id, is_open)
    kind = "; its files cross the network unencrypted" if is_open else ""
    return Result(f"made the group {name(group_id)}; you own it{kind}", {"group_id": group_id, "is_open": is_open})


async def join_group(context: Context, group_id: str) -> Result:
    await context.client.join_group(group_id)
    return Result(f"asked to join {name(group_id)}; its owner decides", {"group_id": group_id})


async def leave_group(context: Context, group_id: str) -> Result:
    report = await context.client.leave_group(group_id)
    return Result(sentences.left(report), to_builtins(report))


async def list_requests(context: Context, group_id: str) -> Result:
    user_ids = await context.client.list_requests(group_id)
    return Result(sentences.requests(group_id, user_ids), {"group_id": group_id, "requests": user_ids})


async def accept_request(context: Context, group_id: str, user_id: str) -> Result:
    await context.client.accept_request(group_id, user_id)
    sentence = f"{identifier(user_id)} is a member of {identifier(group_id)} now"
    return Result(sentence, {"group_id": group_id, "user_id": user_id})


async def reject_request(context: Context, group_id: str, user_id: str) -> Result:
    await context.client.reject_request(group_id, user_id)
    sentence = f"turned {identifier(user_id)} down for {identifier(group_id)}"
    return Result(sentence, {"group_id": group_id, "user_id": user_id})


async def remove_member(context: Context, group_id: str, user_id: str) -> Result:
    await context.client.remove_member(group_id, user_id)
    sentence = f"{identifier(user_id)} is not a member of {identifier(group_id)} any more"
    return Result(sentence, {"group_id": group_id, "user_id": user_id})


async def transfer_ownership(context: Context, group_id: str, user_id: str) -> Result:
    await context.client.transfer_ownership(group_id, user_id)
    sentence = f"{identifier(group_id)} belongs to {identifier(user_id)} now; you are a member"
    return Result(sentence, {"group_id": group_id, "user_id": user_id})


async def audit(context: Context, group_id: str) -> Result:
    entries = await context.client.audit(group_id)
    fields = [
        {"at_s": e.at_s, "actor": e.actor, "action": e.action, "subject": e.subject, "host": e.host} for e in entries
    ]
    return Result(sentences.audit(entries), {"group_id": group_id, "entries": fields})


async def list_groups(context: Context) -> Result:
    entries = await context.client.list_groups()
    fields = [
        {
            "group_id": entry.group_id,
            "owner": entry.owner,
            "member_count": entry.member_count,
            "standing": entry.standing,
            "is_open": entry.is_open,
        }
        for entry in entries
    ]
    return Result(sentences.groups(entries), {"groups": fields})


async def list_files(context: Context, group_id: str) -> Result:
    entries = await context.client.list_files(group_id)
    fields = [
        {
            "name": entry.name,
            "size_bytes": entry.size_bytes,
            "root": entry.root.hex(),
            "publisher": entry.publisher,
            "sharers_online": entry.sharers_online,
            "partial_online": entry.partial_online,
        }
        for entry in entries
    ]
    return Result(sentences.files(group_id, entries), {"group_id": group_id, "files": fields})


async def upload_file(context: Context, file_path: str, group_id: str) -> Result:
    path = Path(_typed_path("file_path", file_path))
    on_progress, end_progress = _reading(context, "upload_file", group_id, path.name, "hashing")
    try:
        report = await context.client.upload_file(path, group_id, on_progress)
    finally:
        end_progress()
    return Result(sentences.uploaded(report), to_builtins(report))


async def download_file(
    context: Context, group_id: str, file_name: str, destination_path: str, *, timeout: str | None = None
) -> Result:
    give_up_at_s = monotonic() + _timeout_s(timeout) if timeout is not None else None
    on_progress, end_progress = _reading(context, "download_file", group_id, file_name, "checking")
    try:
        # As text, since a path object forgets the slash at its end, by which a user says "a folder".
        destination = _typed_path("destination_path", destination_path)
        status = await context.client.download_file(group_id, file_name, destination, on_progress)
    finally:
        end_progress()
    if status.state == "complete":
        return Result(sentences.already_there(status), to_builtins(status))
    return await finish_download(context.client, context.output, status, give_up_at_s)


async def show_downloads(context: Context) -> Result:
    statuses = context.client.show_downloads()
    return Result(sentences.downloads(statuses), {"downloads": to_builtins(statuses)})


async def cancel_download(context: Context, group_id: str, file_name: str) -> Result:
    await context.client.cancel_download(group_id, file_name)
    return Result(f"gave up the download of {name(file_name)}", {"group_id": group_id, "name": file_name})


async def show_shares(context: Context) -> Result:
    statuses = context.client.show_shares()
    return Result(sentences.shares(statuses), {"shares": to_builtins(statuses)})


async def stop_share(context: Context, group_id: str, file_name: str) -> Result:
    report = await context.client.stop_share(group_id, file_name)
    return Result(sentences.stopped(report), to_builtins(report))


async def serve(context: Context) -> Result:
    if context.client.user_id is None:
        raise LocalError("nothing is served before login; log in first", code="not_logged_in")
    context.output.notice(Remark("serving", "sharing until interrupted (Ctrl-C)"))
    # Being interrupted is how serving ends well, so this cancellation goes no further.
    with suppress(asyncio.CancelledError):
        await asyncio.get_running_loop().create_future()
    return Result("stopped sharing")


async def show_help(context: Context, command_name: str | None = None) -> Result:
    commands = list(COMMANDS.values()) if command_name is None else [find_command(command_name)]
    text = sentences.all_commands() if command_name is None else sentences.one_command(commands[0])
    fields = [{"name": c.name, "usage": c.usage, "summary": c.summary, "details": c.details} for c in commands]
    return Result(text, {"commands": fields})


async def leave(context: Context) -> Result:
    return Result("")


def _timeout_s(typed: str) -> float:
    """Raises LocalError (code "usage")."""
    try:
        timeout_s = float(typed)
    except ValueError:
        timeout_s = -1.0
    if not 0 <= timeout_s <= _TIMEOUT_S_MAX:
        raise LocalError(f"--timeout takes a number of seconds, not {name(typed)}", "usage")
    return timeout_s


def _reading(
    context: Context, command: str, group_id: str, file_name: str, state: str
) -> tuple[Callable[[int, int], None], Callable[[], None]]:
    """What to call while a file of this disk is read, and when that is over."""
    start_s = monotonic()

    def on_progress(done_bytes: int, size_bytes: int) -> None:
        rate = done_bytes / max(monotonic() - start_s, 1e-3)
        context.output.progress(Progress(command, group_id, file_name, state, done_bytes, size_bytes, rate))

    def end_progress() -> None:
        context.output.end_progress(Progress(command, group_id, file_name, state, 0, 0, 0.0))

    return on_progress, end_progress


def _typed_path(parameter: str, word: str) -> str:
    """With the home in the place of ~. A variable that is not set is not the current folder."""
    if not word:
        raise LocalError(f"<{parameter}> is empty; write a path, or . for the current folder", "usage")
    path = os.path.expanduser(word)
    if path.startswith("~") and not os.path.lexists(path):
        user = path.partition("/")[0]
        raise LocalError(f"there is no home {name(user)}; write ./{name(path)} for a path that begins so", "usage")
    return path


async def _new_password(context: Context, question: str) -> str:
    password = await context.ask_password(question)
    # A slip here could never be noticed, nor mended: there is nobody who could reset it.
    if await context.ask_password("the same again: ") != password:
        raise LocalError("the two passwords differ; nothing was done, try again", code="password_differs")
    return password


ACTIONS: dict[str, Callable[..., Awaitable[Result]]] = {
    "create_user": create_user,
    "login": login,
    "logout": logout,
    "change_password": change_password,
    "revoke_sessions": revoke_sessions,
    "create_invite": create_invite,
    "create_group": create_group,
    "join_group": join_group,
    "leave_group": leave_group,
    "list_requests": list_requests,
    "accept_request": accept_request,
    "reject_request": reject_request,
    "remove_member": remove_member,
    "transfer_ownership": transfer_ownership,
    "audit": audit,
    "list_groups": list_groups,
    "list_files": list_files,
    "upload_file": upload_file,
    "download_file": download_file,
    "show_downloads": show_downloads,
    "cancel_download": cancel_download,
    "show_shares": show_shares,
    "stop_share": stop_share,
    "serve": serve,
    "help": show_help,
    "exit": leave,
}
